"""The formats that the desk knows: what it calls them, and which names never come in. Pure."""

from collections.abc import Mapping

# By the last extension of a name. The type is what a download says; the bytes decide whether a
# file is that (attachments.inspection).
CONTENT_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "rtf": "application/rtf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "log": "text/plain",
    "json": "application/json",
    "yaml": "application/yaml",
    "xml": "application/xml",
    "zip": "application/zip",
    "gz": "application/gzip",
    "tar": "application/x-tar",
    "7z": "application/x-7z-compressed",
    "eml": "message/rfc822",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
}
UNKNOWN = "application/octet-stream"
# The only ones that a browser may show in place: nothing in them can run.
SHOWN_INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# Those with a picture as their preview.
DRAWN = SHOWN_INLINE | {"application/pdf"}

# What no setting lets in, wherever in the name it stands: `a.php.png` runs on a careless web
# server, `a.pdf.exe` on a desktop that hides the last part.
_PAGES = "htm html xhtml xht shtml shtm mhtml mht hta svg svgz xsl xslt swf htc"
_SERVER_SCRIPTS = (
    "php php3 php4 php5 php7 php8 pht phtml phar asp aspx ashx asmx jsp jspx cgi pl py rb"
)
_SCRIPTS = "js mjs jse vbs vbe vb wsf wsh wsc ps1 psm1 psd1 bat cmd sh bash zsh csh ksh fish"
_PROGRAMS = (
    "exe dll msi msp mst scr pif cpl sys drv ocx dylib dmg pkg deb rpm apk ipa appimage jar class "
    "war ear msix appx"
)
_SHORTCUTS = "lnk desktop webloc scf inf chm hlp iso img vhd vhdx"
_MACROS = "docm dotm xlsm xltm xlam xll pptm potm ppsm ppam sldm"
DENIED = frozenset(
    " ".join((_PAGES, _SERVER_SCRIPTS, _SCRIPTS, _PROGRAMS, _SHORTCUTS, _MACROS)).split()
)
# Only at the end: further in these are parts of ordinary names (`example.com.png`, `my.app.log`).
DENIED_AT_THE_END = DENIED | frozenset(
    ("com", "app", "application", "bin", "elf", "gadget", "reg", "run", "so", "url")
)

# A sentence for those who could do better easily.
ADVICE: Mapping[str, str] = {
    "heic": "Photos in HEIC are not shown everywhere. Save or share it as JPEG and send that.",
    "heif": "Photos in HEIF are not shown everywhere. Save or share it as JPEG and send that.",
    "avif": "Images in AVIF are not shown everywhere. Save it as PNG or JPEG and send that.",
    "bmp": "Save the image as PNG and send that.",
    "tif": "Save the image as PNG or PDF and send that.",
    "tiff": "Save the image as PNG or PDF and send that.",
    "svg": "Drawings in SVG may hold scripts. Save it as PNG and send that.",
    "doc": "Save the document as .docx or PDF and send that.",
    "xls": "Save the workbook as .xlsx and send that.",
    "ppt": "Save the presentation as .pptx or PDF and send that.",
    "docm": "Save the document without macros, as .docx, and send that.",
    "xlsm": "Save the workbook without macros, as .xlsx, and send that.",
    "html": "Print the page as PDF, or make a screenshot, and send that.",
    "htm": "Print the page as PDF, or make a screenshot, and send that.",
    "msg": "Save the mail as .eml and send that.",
    "rar": "Pack it as .zip and send that.",
    "yml": "Name it .yaml and send that.",
    "avi": "Save the video as .mp4 and send that.",
    "mkv": "Save the video as .mp4 or .webm and send that.",
}
