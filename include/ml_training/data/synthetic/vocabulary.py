"""The words on the screen. Brands, names and places are put together from syllables, so that no real one appears.

invented_name(stream(7, "brand"))      # 'Velora'
"""

import numpy as np

from ml_training.data.synthetic.randomness import between, chance, pick

SYLLABLES = (
    "ba", "bel", "cor", "da", "del", "dor", "fe", "fin", "ga", "gro", "ha", "jo", "ka", "kel", "la", "lin", "lo",
    "lu", "ma", "mer", "mi", "mo", "na", "nex", "no", "or", "pa", "pel", "qui", "ra", "ri", "ro", "sa", "sol", "ta",
    "tel", "ti", "to", "ul", "va", "vel", "vi", "wen", "xa", "yo", "za", "zen",
)  # fmt: skip
ENDINGS = (
    "a", "o", "ia", "ex", "on", "is", "ar", "ium", "y", "el", "ix", "us",
)  # fmt: skip
CLAIMS = (
    "More taste. Less sugar.", "Now even softer", "Twice the power", "Only this week", "Feel the difference",
    "New: with fresh lemon", "Free for 3 months", "Your money, your rules", "The new generation", "100 % natural",
    "Built to go further", "Up to 50 % off", "Made for mornings", "Sleep better tonight", "Zero interest",
    "Drive it home today", "Tested by experts", "Clean in one step", "Switch and save", "So light. So you.",
)  # fmt: skip
SLOGANS = (
    "Simply better.", "Because you can.", "Life is now.", "Good for you.", "Think ahead.", "Taste the day.",
    "Always with you.", "Made with care.", "Go your way.", "The original.", "We are here.", "Just enjoy.",
)  # fmt: skip
CALLS = ("Order now", "Find your store", "Download the app", "Call now", "Book today", "Try it free", "Visit us online")
LEGAL = (
    "Offer valid until stocks last. Terms and conditions apply. See website for details.",
    "Representative example: 4.9 % effective annual rate, 48 months. Subject to status.",
    "Always read the label. Ask your doctor or pharmacist about risks and side effects.",
    "Fuel consumption combined 5.1 l/100 km, CO2 emissions 118 g/km. Model shown with extras.",
    "Results may vary. Consumer test with 132 participants, 4 weeks.",
)
SOURCES = (
    "Source: national statistics office, seasonally adjusted figures, third quarter",
    "Archive pictures, courtesy of the regional film institute",
    "Calls cost 0.50 a minute from a landline. Lines close at 22:30. Terms online.",
    "Poll of 1,004 adults, margin of error 3 points. Figures are rounded.",
    "Some scenes have been reconstructed. Names have been changed.",
)
HEADLINES = (
    "Parliament votes on budget", "Storm reaches the coast", "Talks go on overnight", "Prices rise again in May",
    "New bridge opens early", "Strike stops the trains", "Court hears first witness", "Harvest better than expected",
    "Schools to reopen Monday", "Fuel now 1.89 a litre", "Election: results tonight", "Record number of visitors",
)  # fmt: skip
ROLES = (
    "Reporter",
    "Economist",
    "Mayor",
    "Author",
    "Actor",
    "Professor",
    "Head coach",
    "Eyewitness",
    "Singer",
    "Minister",
)
SHOW_WORDS = (
    "The", "Late", "Morning", "Open", "House", "Last", "Train", "Deep", "Water", "North", "Street", "Second",
    "Chance", "World", "Today", "Big", "Table", "Night", "Shift",
)  # fmt: skip


def invented_name(rng: np.random.Generator) -> str:
    """Return a name of two or three syllables."""
    name = "".join(pick(rng, SYLLABLES) for _ in range(1 + int(rng.integers(2)))) + pick(rng, ENDINGS)
    return name.upper() if chance(rng, 0.3) else name.capitalize()


def person_name(rng: np.random.Generator) -> str:
    """Return an invented first and last name."""
    return f"{invented_name(rng).capitalize()} {invented_name(rng).capitalize()}"


def show_title(rng: np.random.Generator) -> str:
    """Return the title of a show."""
    return f"{pick(rng, SHOW_WORDS)} {pick(rng, SHOW_WORDS)}"


def price(rng: np.random.Generator) -> str:
    """Return a price such as ``1.99`` or ``249.-``."""
    whole = int(np.exp(between(rng, 0, 6.2)))
    return f"{whole}.-" if whole > 60 else f"{whole}.{pick(rng, ('99', '49', '89', '29'))}"


def web_address(name: str) -> str:
    """Return the address of a brand or a show, in the domain that is reserved for examples."""
    return f"{name.lower().replace(' ', '')}.example"
