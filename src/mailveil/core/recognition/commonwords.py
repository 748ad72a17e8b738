"""Common words: what is put around a name to borrow its credit, and names that belong to nobody in particular."""

from __future__ import annotations

from typing import Final

# Words that stand beside a name, parted from it by a hyphen: "shop-invoices".
ADDED: Final = frozenset(
    {
        "access", "account", "accounting", "accounts", "admin", "alert", "alerts", "app", "auth", "benefits",
        "bill", "billing", "care", "careers", "center", "client", "clients", "cloud", "co", "com", "company",
        "confirm", "contact", "corp", "customer", "customers", "de", "delivery", "desk", "direct", "doc", "docs",
        "document", "documents", "email", "eu", "file", "files", "finance", "global", "gmbh", "group", "help",
        "helpdesk", "holding", "hr", "id", "inc", "info", "int", "international", "invoice", "invoices",
        "invoicing", "it", "jobs", "legal", "limited", "llc", "login", "logistics", "ltd", "mail", "meeting",
        "mfa", "mobile", "my", "net", "news", "notice", "notification", "notifications", "notify", "office",
        "official", "online", "order", "orders", "org", "partner", "partners", "pay", "payment", "payments",
        "payroll", "portal", "procurement", "purchase", "purchasing", "rechnung", "rechnungen", "recruiting",
        "refund", "remittance", "renewal", "reset", "sales", "secure", "secured", "security", "server",
        "service", "services", "share", "shared", "sharepoint", "sign", "signin", "sso", "staff", "status",
        "supplier", "suppliers", "support", "team", "teams", "tech", "treasury", "uk", "update", "updates", "us",
        "usa", "user", "validation", "vendor", "vendors", "verification", "verify", "web", "webmail", "www",
    }
)  # fmt: skip
# Those that also stand beside a name without anything between: "shopsupport".
JOINED: Final = frozenset(
    {
        "accounts", "billing", "customers", "documents", "helpdesk", "invoice", "invoices", "invoicing", "login",
        "notification", "notifications", "payment", "payments", "payroll", "portal", "rechnung", "refund",
        "secure", "security", "signin", "support", "verification", "verify", "webmail",
    }
)  # fmt: skip
# Names that many have: nobody who uses one imitates another.
COMMON: Final = frozenset(
    {
        "academy", "agency", "airport", "analytics", "architects", "archive", "assets", "association", "autos",
        "banking", "beauty", "books", "boutique", "brand", "brands", "broker", "business", "calendar", "campaign",
        "campus", "capital", "cards", "casino", "central", "charity", "church", "clicks", "clinic", "college",
        "community", "computer", "conference", "construction", "consult", "consulting", "content", "council",
        "country", "courses", "creative", "credit", "culture", "dance", "dating", "dental", "dentist", "design",
        "designs", "digital", "discount", "doctor", "domain", "domains", "donate", "download", "dynamics",
        "education", "electric", "emails", "energy", "engage", "engine", "engineering", "estate", "events",
        "example", "express", "factory", "family", "fashion", "festival", "films", "financial", "fitness",
        "flight", "flights", "flowers", "football", "forum", "forums", "foundation", "furniture", "gallery",
        "games", "garden", "gateway", "general", "gifts", "golfclub", "government", "green", "guide", "health",
        "healthcare",
        "history", "holiday", "holidays", "homes", "hospital", "hosting", "hotel", "hotels", "house", "housing",
        "images", "industries", "industry", "innovation", "institute", "insurance", "interactive", "invest",
        "investment", "investments", "jewelry", "journal", "kitchen", "language", "lawyer", "leads", "learn",
        "learning", "letter", "letters", "library", "light", "links", "local", "london", "magazine", "mailer",
        "mailing", "management", "market", "marketing", "markets", "master", "media", "medical", "medicine",
        "members", "message", "messages", "messaging", "metals", "metrics", "money", "mortgage", "motor",
        "motors", "movie", "movies", "museum", "music", "national", "nature", "network", "networks",
        "newsletter", "newspaper", "offer", "offers", "optical", "outlet", "paper", "parking", "parts", "party",
        "people", "pharma", "pharmacy", "phone", "photo", "photos", "pictures", "pixel", "pizza", "places",
        "planet", "planning", "plants", "platform", "plumbing", "politics", "power", "press", "print",
        "printing", "products", "project", "projects", "properties", "property", "public", "publishing",
        "radio", "realestate", "record", "records", "register", "rental", "rentals", "report", "reports",
        "research", "reserve", "restaurant", "retail", "review", "reviews", "salon", "school", "schools",
        "science", "search", "senior", "server", "servers", "shipping", "shoes", "shopping", "smart",
        "social", "society", "software", "solar", "solution", "solutions", "space", "sport", "sports", "static",
        "statistics", "stats", "stock", "stocks", "storage", "store", "stores", "stream", "street", "student",
        "students", "studio", "studios", "style", "supplies", "supply", "survey", "surveys", "systems",
        "technologies", "technology", "theater", "theatre", "tickets", "times", "today", "tools", "tours",
        "track", "tracker", "tracking", "trade", "trading", "trail", "train", "training", "transport", "travel",
        "trust", "united", "university", "vacation", "vacations", "ventures", "video", "videos", "village",
        "vision", "voice", "watch", "water", "weather", "website", "wedding", "weddings", "wellness", "whisky",
        "wines", "women", "works", "world", "writer", "yachts", "youth",
    }
)  # fmt: skip
