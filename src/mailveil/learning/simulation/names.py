"""Names: of people, firms and domains. All made up; domains end in ``.example``, so that none belongs to anybody."""

from __future__ import annotations

from typing import Final

from mailveil.learning.simulation.chance import Chance

_FIRST_TEXT: Final = """
    anna bert carla dario elena felix greta henrik ines jonas katrin luca marta nils olga pavel quentin rosa
    stefan tilda ulrich vera walter xenia yannick zora amir bianca cesar daphne emil fatima georg hanna ivan
    julia karim lena mateo nora oskar petra rafael sofia tomas ursula viktor wanda yusuf zelda
"""
_LAST_TEXT: Final = """
    albers becker conti dietrich engel fischer garcia hoffmann ivanov jansen keller lindgren moreau novak okafor
    petersen quist rossi schneider thomsen ulmer vogel wagner xavier yilmaz zimmer arnold brandt costa dumont
    ericson ferrari gruber hansen iversen jung kowalski lombardi martin nielsen olsen pohl ricci santos tanaka
    urban vidal weber young zander
"""
_FIRST_WORDS_TEXT: Final = """
    amber arrow aspen atlas beech birch bold brass bright brook canyon cedar cinder civic clear cobalt copper
    coral crest crown dawn delta drift eagle early ember evergreen falcon fern flint forge fox frost garnet
    glacier grand granite grove harbour hazel heron hollow indigo iron ivory jade juniper keystone lantern lark
    linden lunar maple marble meadow merit mill mint moss north oak ocean olive onyx opal orchard osprey pearl
    pebble pine pioneer polar prairie quartz quiet raven reef ridge river robin rowan ruby sable sage saffron
    salt sierra silver slate solar spruce sterling stone summit sunny swift tall thistle timber topaz tundra
    umber upland vale velvet vista walnut wander willow winter wren zenith
"""
_SECOND_WORDS_TEXT: Final = """
    advisors analytics apparel bakery beverage boats brewing broker cables capital ceramics chemie clinic coffee
    commerce concrete consult cosmetics couriers dental devices dynamics electric engineering estates events
    fabrics farms finance fitness foods freight furniture gardens glass grain hardware health homes hotels
    hydraulics imports insurance jewels kitchens labs lawyers leasing lighting linen logistics machines marine
    media metals mobility motors networks optics outdoor packaging paints paper partners pharma pictures
    plastics press printing properties pumps rail recycling robotics roofing security software solutions sports
    staffing steel storage studios supply surgical systems talent tech telecom textiles tiles tools toys trading
    transport travel trucks turbines utilities ventures wines works
"""
FREE_MAIL: Final = ("gmail.com", "outlook.com", "gmx.de", "yahoo.com", "proton.me", "icloud.com")
_SUBJECT_WORDS_TEXT: Final = """
    agenda answer appointment april august autumn budget call catalogue change contract conference course
    december delivery demo documents draft energy estimate fair february figures forecast guide idea invoice
    january july june launch letter list maintenance march market meeting minutes november october offer order
    parts plan price prices product project proposal quality question quote region report request results review
    sample schedule september service shipment spring summer survey team terms tour training trial update visit
    warranty winter workshop
"""


FIRST: Final = tuple(_FIRST_TEXT.split())
LAST: Final = tuple(_LAST_TEXT.split())
_FIRST_WORDS: Final = tuple(_FIRST_WORDS_TEXT.split())
_SECOND_WORDS: Final = tuple(_SECOND_WORDS_TEXT.split())
SUBJECT_WORDS: Final = tuple(_SUBJECT_WORDS_TEXT.split())
_SPIES_SHARE: Final = 8  # of all names, one in so many is a spy's


class Names:
    """Names that nobody else of a simulation has."""

    def __init__(self, chance: Chance, *, are_spies: bool = False, are_long: bool = False) -> None:
        """Spies have names of their own, so that honest ones are the same whoever spies; long ones are others, too."""
        self._chance = chance
        self._are_spies = are_spies
        self._are_long = are_long
        self._taken: set[str] = set()

    def firm(self) -> str:
        """Return the name of a firm, such as ``cedarfreight``."""
        words = self._words()
        if self._are_long:
            words.insert(0, self._chance.pick(_FIRST_WORDS))
        while "".join(words) in self._taken:
            words.insert(0, self._chance.pick(_FIRST_WORDS))
        self._taken.add("".join(words))
        return "".join(words)

    def _words(self) -> list[str]:
        while True:
            first = self._chance.whole(0, len(_FIRST_WORDS) - 1)
            second = self._chance.whole(0, len(_SECOND_WORDS) - 1)
            if ((first + second) % _SPIES_SHARE == 0) is self._are_spies:
                return [_FIRST_WORDS[first], _SECOND_WORDS[second]]

    def domain(self) -> str:
        """Return a firm's domain."""
        return f"{self.firm()}.example"

    def take(self, domain: str) -> bool:
        """Have a domain belong to somebody, so that it is given to nobody else; tell whether it was still free."""
        label = domain.partition(".")[0]
        is_free = label not in self._taken
        self._taken.add(label)
        return is_free

    def similar(self, domain: str) -> str:
        """Return an honest firm's domain that is one letter from another's: one more, one less, or another one."""
        chance, label = self._chance, domain.partition(".")[0]
        while True:
            place, letter = chance.whole(1, len(label) - 1), chance.pick("abdegiklmnoprstuvw")
            rest = label[place:] if chance.often(0.3) else label[place + 1 :]
            made = f"{label[:place]}{'' if chance.often(0.2) else letter}{rest}"
            if made != label and made not in self._taken:
                self._taken.add(made)
                return f"{made}.example"

    def look_alike(self, domain: str) -> str:
        """Return a domain that people take for another: a letter changed, doubled or left out, or a word added."""
        chance, label = self._chance, domain.partition(".")[0]
        for _ in range(100):
            place = chance.whole(1, len(label) - 2)
            made = chance.pick(
                (
                    label[:place] + label[place] + label[place:],
                    label[:place] + label[place + 1 :],
                    label[:place] + label[place + 1] + label[place] + label[place + 2 :],
                    label.replace("l", "1", 1).replace("o", "0", 1),
                    f"{label}-{chance.pick(('group', 'office', 'mail', 'team', 'online'))}",
                )
            )
            if made != label and made not in self._taken:
                self._taken.add(made)
                return f"{made}.example"
        return self.domain()


def person_name(chance: Chance) -> tuple[str, str]:
    """Return a first and a last name."""
    return chance.pick(FIRST), chance.pick(LAST)


def subject(chance: Chance, least: int = 2, most: int = 5) -> str:
    """Return what a message may be about."""
    words = [chance.pick(SUBJECT_WORDS) for _ in range(chance.whole(least, most))]
    return " ".join(dict.fromkeys(words)).capitalize()
