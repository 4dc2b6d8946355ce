"""How much a preview may hold, and cost. Sizes in bytes unless they say otherwise."""

MB = 1024 * 1024

# --- What a preview holds -------------------------------------------------------------

# The longer side of a thumbnail in pixels; the last one is the preview.
THUMBNAILS = (256, 1024)
TEXT_CHARS = 64 * 1024
ROWS = 200
COLUMNS = 50
CELL_CHARS = 200
# 200 ordinary rows are well within that.
TABLE_CHARS = 256 * 1024
ENTRIES = 1000
ENTRY_CHARS = 300
# The worst 64 KB of Markdown that were tried (nothing but bare hosts) became 865,000.
HTML_CHARS = MB
# All parts of one preview. The worst square megapixel (noise, with transparency) is 1.8 MB.
ANSWER = 8 * MB

# --- What drawing it may cost ---------------------------------------------------------

# Address space. 40 megapixels of WebP with transparency, the most of all formats, take 650 MB.
MEMORY = 1024 * MB
# Of the processor; 40 megapixels took 1.5 at most.
CPU_SECONDS = 15
# By the clock on the wall: generous, because the machine may have better to do.
SECONDS = 45
OPEN_FILES = 32
