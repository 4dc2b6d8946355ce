"""Whether bytes are harmful, as clamd sees it."""

from attachments.scanning.clamd import ScanInterrupted, ScannerAway, Verdict, scan

__all__ = ["ScanInterrupted", "ScannerAway", "Verdict", "scan"]
