"""Words: what addresses say to everybody alike, such as ``open`` and ``images``. All else may be meant for one reader.

Trackers are told apart by what is left of their addresses. A word that is added gives those that have it another
template, so that they count as new: add few, and never one that is also somebody's name.
"""

from __future__ import annotations

from typing import Final

_WORDS: Final = """
    access account accountid accounts action actions activity ads adserver advert aff affiliate agent album alert
    alerts all analytic analytics announce announcement announcements api app apple apps archive article articles
    ashx asp aspx asset assets attach attachment attachments attribution audio auth author auto avatar avatars aws
    back background badge badges banner banners bar barcode beacon beacons big bill billing black blank blog blue
    bmp body book booking books border bottom box brand branding brands bto bulk bullet business button buttons buy
    cachebuster calendar call campaign campaignid campaigns card cards care cart cast catalog catalogue category
    cats cb cdn center cgi check checkout chrome cid city civicrm clear click clicked clickid clicks client clientid
    clients close cloud club cms code collect color common communication communications community company component
    components config confirm confirmation connect contact contactid contacts content contents control cookie core
    corner corp count countdown counter country coupon coupons course cover create creative crid crm crop css
    customer customerid customers daily dark data date day dclid ddm deal deals default deliver delivered delivery
    demo design desk desktop detail details device diamond digest digital dir direct display divider dll dot double
    down download downloads dpr draft dummy dwell dwn dynamic edit editor edm education eid element elements elq
    elqtrackid email emailid emailing emailmd emailopen emailopened emails embed emc emimp emo empty end endpoint
    energy engage engine entrypoint envelope envelopeid eos error esid esp etc event events exp expires export
    express external eyj facebook fallback false fashion favicon fbclid feature featured features feed feedback
    field file files film final finance first fit flag flash flow fluentcrm follow font fonts food foods footer form
    format forum frame frappe free friend friends front full gallery game games gateway gclid general geo get gfx
    gif gift gifts global gold google grade graphic graphics gray green grey grid group groups gtm guide hash head
    header heading headline health heart height help hero hidden high highlight hit hmac holiday home homes host
    hosted hotel hour hsenc hsmi html http https ico icon icons ident identifier identity illustration image
    imageproxy images imageserver img imgs imp impression impressions inbound inbox index info infographic inline
    input insight insights instagram intro invitation invite invoice issue item items job jobid jobs join journal
    jpeg jpg jsp keep key kit label landing lang language large last lat latest launch lead left legacy legal letter
    library light like line link linkedin linkid links linktrack list listid lists live lnk load loader local locale
    location log logger logging login logo logos lon loop low loyalty magazine mail mailer mailid mailing mailingid
    mailings maillist mailopen mailopened mails mailstat main manage manager map maps market marketing master match
    mc media medium member memberid members membership message messageid messages meta method metric metrics mid
    middle mini missive mkt ml mlid mobile mode model module monthly movie msclkid msgid mta mtr mtrk multimedia
    music name nav news newsletter newsletters next nid night nl nonce none normal note notice notification
    notifications notify nr null number object offer offers office oid old on online open opened opener opening
    openings openrate opens opentrack opentracking opn optiext optiextension optin option options optout orange
    order orders org organic organisation organization organizations original other out outbound outline outlook
    overlay owner pack page pages paid panel parcel park parking part partner partners party pay payment payments
    person personal phone photo photos php pic pics picture pictures pid ping pink pixel pixels placeholder plain
    plan platform play player plus png podcast point points policy poll pop popup portal portfolio post poster posts
    powered premium press preview price prices primary print printed privacy private prize process prod product
    production products profile profiles program progress project promo promotion promotions proof property proxy
    ptrack pub public publish pulse purple push pxl qemail qs quality query quick quote rand random ranking rate
    rating reach read reader readers reading readreceipt receipt recipient recipientid recipients recommend
    recommendation record red redir redirect ref referral referrer refresh region register registration rel release
    remote render reply report reporting reports request res reset resize resource resources response responsive
    rest result results retail return returns rev review reviews reward rewards rid right root round route row rpc
    rte rts rule sale sales sample save scan schedule school score screen script scripts search season secondary
    section secure security seen segment select send sender sendgrid sending sendy sent separator series server
    service services serving session set settings shadow share shared sharing sheet ship shipped shipping shop
    shopping shops short shortlink show shown sid sidebar sig sign signal signature signup simple single site sites
    size sky slide slider small smart smtp social software sold sound source space spacer special sponsor sponsored
    sport sports spring sprite square src ssl staff stage standard star start state static statistics stats status
    step stfopen stock storage store stores stories story stpe stream strip studio style styles stylesheet sub
    subject submit subscribe subscriber subscriberid subscribers subscription success summary summer support survey
    surveys svc svg sync system table tablet tag tags target team teaser tech template templates test text texture
    theme themes thread thumb thumbnail thumbnails thumbs ticket tickets tid tile time timer timestamp title tok
    token tool tools top total touch tour tpl trace track tracked tracker trackers trackid tracking trackingid
    trackopen trade traffic training transaction transactional transparent travel trial trigger trip trk true ts
    tube tutorial twitter type ucm uid unsub unsubscribe update updates upload uploads upn upper url urls usage user
    userid userimages users utility utm value vector vehicle vendor ver verify version vertical via vid video videos
    view viewed viewer viewonline views vip visit visitor voice vote wait wallet watch watermark wave way wear
    weather web webbug webhook webinar webp website webversion week weekly welcome white wide widget widgets width
    window windows winter wire word words work world wp wrapper write www wwws xid xml year yellow youtube zid zip
    zone zoom
"""
_ENDINGS: Final = """
    ashx asp aspx avif axd bin bmp cfm cgi css do eot gif htm html ico jpeg jpg js json jsp mov mp3 mp4 ogg otf php
    php3 php4 php5 pl png svg ttf txt wav webm webp woff woff2 xml
"""
_SCHEMES: Final = """
    feed file ftp ftps gopher http https ldap ldaps mailto mms news nntp rtsp sftp smb webcal ws wss
"""

#: Words of paths, host names and queries, lower-case.
WORDS: Final = frozenset(_WORDS.split())
#: Endings of files and programs, without their dot.
ENDINGS: Final = frozenset(_ENDINGS.split())
#: Whole steps of a path with digits in them that mean the same for everybody.
VERSIONS: Final = frozenset({"1x1", "2x", "3x", *(f"v{number}" for number in range(1, 10))})
SCHEMES: Final = frozenset(_SCHEMES.split())
