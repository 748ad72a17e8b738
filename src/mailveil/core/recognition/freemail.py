"""Free mail: providers at whose domains anybody may have an address, so that the domain says nothing of who writes.

Source: SpamAssassin's lists of such domains (``20_freemail_domains.cf``, ``20_freemail_mailcom_domains.cf`` of 4.0.1),
of which the larger providers are here, and the providers' own pages for what is younger.
"""

from __future__ import annotations

import re
from typing import Final

# Providers that have the same name in many countries: name.com, name.de, name.co.uk, name.com.br.
_EVERYWHERE: Final = frozenset(
    {
        "aol",
        "excite",
        "fastmail",
        "freemail",
        "gmx",
        "hotmail",
        "hushmail",
        "live",
        "lycos",
        "outlook",
        "runbox",
    }
    | {"tiscali", "tutanota", "yahoo", "yandex", "ymail"}
)
_COUNTRY: Final = re.compile(r"(?:com|net|org|eu|(?:com?\.)?[a-z]{2})")
_DOMAINS: Final = frozenset(
    {
        "0-mail.com", "126.com", "139.com", "163.com", "188.com", "1und1.de", "21cn.com", "abv.bg", "alice.it",
        "aliyun.com", "anonaddy.com", "aon.at", "arcor.de", "atlas.cz", "att.net", "bell.net", "bellsouth.net",
        "bigmir.net", "bigpond.com", "bigpond.net.au", "bk.ru", "blueyonder.co.uk", "bluewin.ch", "btinternet.com",
        "btopenworld.com", "caramail.com", "centrum.cz", "centrum.sk", "charter.net", "chello.nl", "citromail.hu",
        "club-internet.fr", "comcast.net", "cox.net", "cock.li", "daum.net", "disroot.org", "docomo.ne.jp",
        "duck.com", "earthlink.net", "email.cz", "email.de", "email.it", "eircom.net", "ezweb.ne.jp", "fastmail.fm",
        "foxmail.com", "free.fr", "freenet.de", "frontier.com", "gawab.com", "gazeta.pl", "gmail.com",
        "googlemail.com", "hanmail.net", "hetnet.nl", "hey.com", "home.nl", "hushmail.me", "i.ua", "icloud.com",
        "ig.com.br", "in.com", "inbox.lv", "inbox.ru", "indiatimes.com", "interia.eu", "interia.pl",
        "internode.on.net", "inwind.it", "iol.pt", "juno.com", "keemail.me", "kolabnow.com", "kpnmail.nl",
        "laposte.net", "latinmail.com", "lavabit.com", "libero.it", "list.ru", "luukku.com", "mac.com",
        "mail.bg", "mail.com", "mail.ee", "mail.pt", "mail.ru", "mail.ua", "mailbox.org", "mailfence.com",
        "mailo.com", "me.com", "meta.ua", "mindspring.com", "msn.com", "mydigipass.com", "nate.com", "naver.com",
        "neuf.fr", "netscape.net", "netzero.net", "ntlworld.com", "numericable.fr", "o2.pl", "onet.eu", "onet.pl",
        "online.de", "online.no", "optonline.net", "optusnet.com.au", "orange.fr", "passport.com", "pm.me",
        "poczta.fm", "poczta.onet.pl", "post.cz", "posteo.de", "posteo.net", "proton.me", "protonmail.ch",
        "protonmail.com", "qq.com", "rambler.ru", "rediff.com", "rediffmail.com", "riseup.net", "rocketmail.com",
        "roadrunner.com", "rogers.com", "sapo.pt", "sbcglobal.net", "seznam.cz", "sfr.fr", "shaw.ca",
        "simplelogin.com", "sina.cn", "sina.com", "skynet.be", "sky.com", "sohu.com", "spymac.com", "startmail.com",
        "strato.de", "sympatico.ca", "t-online.de", "t-online.hu", "talktalk.net", "telenet.be", "telus.net",
        "temp-mail.org", "terra.com.br", "tin.it", "tom.com", "tuta.com", "tuta.io", "tutamail.com", "tvcablenet.be",
        "tlen.pl", "ukr.net", "unitybox.de", "uol.com.br", "upcmail.nl", "usa.net", "verizon.net", "virgilio.it",
        "virginmedia.com", "vodafone.de", "volny.cz", "vp.pl", "wanadoo.fr", "web.de", "windowslive.com",
        "windstream.net", "wp.pl", "ya.ru", "yeah.net", "xs4all.nl", "xtra.co.nz", "ziggo.nl", "zoho.com",
        "zoho.eu", "zoho.in", "zohomail.com", "zohomail.eu", "zonnet.nl",
        # Names that mail.com lets its users choose from.
        "accountant.com", "activist.com", "adexec.com", "africamail.com", "allergist.com", "alumni.com", "angelic.com",
        "appraiser.net", "archaeologist.com", "artlover.com", "asia-mail.com", "asia.com", "atheist.com",
        "auctioneer.net", "bartender.net", "berlin.com", "bikerider.com", "birdlover.com", "catlover.com",
        "cheerful.com", "chef.net", "chemist.com", "clerk.com", "clubmember.org", "collector.org", "columnist.com",
        "comic.com", "computer4u.com", "consultant.com", "contractor.net", "counsellor.com", "cutey.com",
        "cyberdude.com", "cybergal.com", "cyberservices.com", "dallasmail.com", "deliveryman.com", "diplomats.com",
        "doctor.com", "doglover.com", "dr.com", "dublin.com", "dutchmail.com", "email.com", "engineer.com",
        "europe.com", "europemail.com", "execs.com", "financier.com", "fireman.net", "gardener.com",
        "geologist.com", "graduate.org", "graphic-designer.com", "groupmail.com", "hackermail.com",
        "hairdresser.net", "hilarious.com", "homemail.com", "hot-shot.com", "housemail.com", "humanoid.net",
        "iname.com", "innocent.com", "inorbit.com", "instruction.com", "instructor.net", "insurer.com",
        "job4u.com", "journalist.com", "keromail.com", "legislator.com", "linuxmail.org", "lobbyist.com",
        "lovecat.com", "mail-me.com", "minister.com", "munich.com", "musician.org", "myself.com", "nonpartisan.com",
        "null.net", "nycmail.com", "optician.com", "orthodontist.net", "pediatrician.com", "petlover.com",
        "photographer.net", "physicist.net", "planetmail.com", "politician.com", "post.com", "presidency.com",
        "priest.com", "programmer.net", "publicist.com", "qualityservice.com", "radiologist.net", "realtyagent.com",
        "reborn.com", "registerednurses.com", "religious.com", "repairman.com", "representative.com",
        "rescueteam.com", "rocketship.com", "saintly.com", "salesperson.net", "scientist.com", "secretary.net",
        "socialworker.net", "sociologist.com", "solution4u.com", "songwriter.net", "surgical.net", "teachers.org",
        "tech-center.com", "techie.com", "technologist.com", "theplate.com", "therapist.net", "toothfairy.com",
        "tvstar.com", "umpire.com", "usa.com", "worker.com", "workmail.com", "writeme.com",
    }
)  # fmt: skip


def is_free_mail(domain: str) -> bool:
    """Tell whether anybody may have an address at a registrable domain."""
    domain = domain.strip().strip(".").lower()
    if domain in _DOMAINS:
        return True
    name, _, ending = domain.partition(".")
    return name in _EVERYWHERE and _COUNTRY.fullmatch(ending) is not None
