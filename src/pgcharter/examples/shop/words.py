"""The words that the shop's data is made of. Names of people, firms and products are invented."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TENANTS = (
    ("Northwind Bazaar", "NWB", "EUR"),
    ("Harbour Market", "HBM", "GBP"),
    ("Prairie Goods", "PRG", "USD"),
    ("Little Lantern", "LLN", "EUR"),
)
"""Name, code in order numbers, currency."""

FIRST_NAMES = _words(
    "Ada Amara Anton Aiko Bruno Carla Chidi Clara Dario Elif Emil Esther Farid Freya Gita Hana Hugo Ines Ivan Jana Jonas Kaito Keira "
    "Lena Levi Luca Maja Malik Marta Mei Milan Mina Nadia Nils Noor Olga Omar Paula Petra Quinn Rafael Ravi Rosa Ruben Sami Sofia "
    "Tariq Tess Theo Uma Vera Viktor Wanda Xenia Yara Yusuf Zoe"
)
LAST_NAMES = _words(
    "Abara Adler Almeida Andersson Bakker Banerjee Bauer Becker Benali Castillo Chen Costa Cruz Dahl Demir Dubois Eriksen Farkas "
    "Fischer Fontana Garcia Haddad Hansen Horvat Ibrahim Jansen Kaya Keller Kim Kovacs Kowalski Laurent Lindgren Lopez Mansour Martin "
    "Mensah Moreau Nakamura Novak Okafor Olsen Park Pereira Petrov Popescu Rahman Rossi Sato Schmidt Silva Singh Suzuki Tanaka Torres "
    "Visser Wagner Weber Yilmaz Zhang"
)
CITIES = _words(
    "Antwerp Bergen Bilbao Bologna Boston Bristol Cork Denver Dublin Galway Ghent Graz Hamburg Leeds Leipzig Lille Linz Lyon Malmo "
    "Nantes Odense Ottawa Porto Portland Seville Turin Utrecht Vienna York Zurich"
)
MAIL_DOMAINS = ("example.com", "example.org", "example.net")
"""Reserved for examples by RFC 2606: nobody receives what is sent there."""

SHOP_WORDS = _words(
    "Alder Amber Anchor Birch Cedar Clover Copper Ember Fern Granite Harbor Hazel Iris Juniper Linden Maple Meadow Opal River Willow"
)
SHOP_KINDS = ("Works", "Supply", "Studio", "Traders", "House")

CATEGORIES: dict[str, dict[str, tuple[str, int, int, int]]] = {
    "Home": {
        "Kitchen": ("Kettle Teapot Skillet Saucepan Mug Bowl Grater Ladle Tray Carafe", 900, 8900, 900),
        "Bedding": ("Duvet Pillow Blanket Sheet Bolster Throw Quilt", 1900, 15900, 1500),
        "Lighting": ("Lamp Lantern Pendant Sconce Candle", 1200, 19900, 1800),
    },
    "Outdoors": {
        "Camping": ("Tent Stove Hammock Headlamp Flask Tarp Cooler", 1500, 34900, 2500),
        "Garden": ("Trowel Planter Shears Hose Bench Rake Birdhouse", 700, 12900, 2200),
    },
    "Work": {
        "Stationery": ("Notebook Pen Folder Stapler Planner Ruler", 200, 3900, 300),
        "Desk": ("Desk Chair Shelf Organiser Monitor-stand Footrest", 2500, 59900, 9000),
    },
    "Play": {
        "Games": ("Puzzle Boardgame Dominoes Chess-set Dice-tower", 900, 6900, 800),
        "Instruments": ("Ukulele Kalimba Tambourine Recorder Metronome", 1500, 24900, 1300),
    },
}
"""Department → category → things sold in it, lowest and highest price in cents, typical weight in grams."""

ADJECTIVES = _words(
    "Compact Classic Everyday Folding Handmade Heavy Light Little Modern Nordic Quiet Round Rustic Simple Sturdy Tall Travel Vintage"
)
MATERIALS = _words("Bamboo Beech Brass Ceramic Copper Cork Cotton Felt Glass Iron Leather Linen Oak Slate Steel Walnut Wool")

PAYMENT_METHODS = ("credit_card", "debit_card", "paypal", "apple_pay", "google_pay", "bank_transfer")
