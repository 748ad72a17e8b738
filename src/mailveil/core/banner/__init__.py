"""Banner: what readers are told above a message, in their language; inert, once, and only by us (docs/banner.md)."""

from mailveil.core.banner.inserting import banner_edits
from mailveil.core.banner.language import Language, language_of, languages
from mailveil.core.banner.notice import Notice, is_mailbox, notice_of
from mailveil.core.banner.places import Form, Place, find_places
from mailveil.core.banner.reportcode import find_report_codes, report_code, verify_report_code
from mailveil.core.banner.reportmail import ReportedAs, ReportMail, parse_report_mail

__all__ = [
    "Form",
    "Language",
    "Notice",
    "Place",
    "ReportMail",
    "ReportedAs",
    "banner_edits",
    "find_places",
    "find_report_codes",
    "is_mailbox",
    "language_of",
    "languages",
    "notice_of",
    "parse_report_mail",
    "report_code",
    "verify_report_code",
]
