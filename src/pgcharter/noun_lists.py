"""Lists behind `nouns`: English words as schemas use them, in the words of this project."""

from __future__ import annotations

IRREGULAR: dict[str, str] = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "foot": "feet", "tooth": "teeth", "goose": "geese",
    "mouse": "mice", "louse": "lice", "ox": "oxen", "die": "dice", "salesman": "salesmen", "grandchild": "grandchildren",
    "criterion": "criteria", "phenomenon": "phenomena", "bacterium": "bacteria", "curriculum": "curricula", "memorandum": "memoranda",
    "stratum": "strata", "addendum": "addenda", "erratum": "errata", "index": "indices", "matrix": "matrices", "vertex": "vertices",
    "appendix": "appendices", "codex": "codices", "vortex": "vortices", "analysis": "analyses", "basis": "bases", "crisis": "crises",
    "diagnosis": "diagnoses", "hypothesis": "hypotheses", "thesis": "theses", "axis": "axes", "synopsis": "synopses",
    "parenthesis": "parentheses", "synthesis": "syntheses", "oasis": "oases", "emphasis": "emphases", "stimulus": "stimuli",
    "radius": "radii", "alumnus": "alumni", "nucleus": "nuclei", "fungus": "fungi", "cactus": "cacti", "bacillus": "bacilli",
    "locus": "loci", "genus": "genera", "corpus": "corpora", "alumna": "alumnae", "larva": "larvae", "formula": "formulas",
    "schema": "schemas", "leaf": "leaves", "half": "halves", "knife": "knives", "life": "lives", "shelf": "shelves", "wolf": "wolves",
    "wife": "wives", "thief": "thieves", "loaf": "loaves", "calf": "calves", "self": "selves", "scarf": "scarves", "elf": "elves",
    "hoof": "hooves", "hero": "heroes", "potato": "potatoes", "tomato": "tomatoes", "echo": "echoes", "veto": "vetoes",
    "torpedo": "torpedoes", "cargo": "cargoes", "mango": "mangoes", "volcano": "volcanoes", "embargo": "embargoes", "quiz": "quizzes",
    "bus": "buses", "gas": "gases", "bonus": "bonuses", "virus": "viruses", "campus": "campuses", "status": "statuses",
    "alias": "aliases", "atlas": "atlases", "canvas": "canvases", "census": "censuses", "bias": "biases", "iris": "irises",
    "lens": "lenses", "consensus": "consensuses", "apparatus": "apparatuses", "surplus": "surpluses", "focus": "focuses",
    "opus": "opuses", "chorus": "choruses", "abacus": "abacuses", "syllabus": "syllabuses", "octopus": "octopuses",
    "terminus": "terminuses", "prospectus": "prospectuses", "nexus": "nexuses", "circus": "circuses", "walrus": "walruses",
    "cache": "caches", "niche": "niches", "headache": "headaches", "avalanche": "avalanches", "moustache": "moustaches", "plus": "pluses",
    "sku": "skus", "cpu": "cpus", "gpu": "gpus", "menu": "menus", "guru": "gurus", "waltz": "waltzes", "topaz": "topazes",
}  # fmt: skip
"""Words whose plural no rule makes."""

EXTRA_PLURALS: dict[str, str] = {
    "indexes": "index", "matrixes": "matrix", "vertexes": "vertex", "appendixes": "appendix", "schemata": "schema", "formulae": "formula",
    "curriculums": "curriculum", "persons": "person", "criterions": "criterion", "syllabi": "syllabus", "octopi": "octopus",
    "cactuses": "cactus", "scarfs": "scarf", "cargos": "cargo", "mangos": "mango", "volcanos": "volcano", "foci": "focus",
    "busses": "bus", "campi": "campus",
}  # fmt: skip
"""Further plurals of the same words, those people write among them."""

ENDING_IN_IE = frozenset(
    """
    cookie movie tie pie zombie selfie calorie lie rookie brownie smoothie genie prairie foodie goalie hoodie sortie birdie necktie
    """.split()  # noqa: SIM905
)
ENDING_IN_OE = frozenset("shoe toe foe canoe horseshoe".split())  # noqa: SIM905

VOWEL_NOUNS = frozenset(
    """
    area quota persona agenda idea camera visa replica delta saga lambda comma arena drama antenna extra era panorama sofa pizza villa
    gala cafeteria banana encyclopedia phobia pharma china umbrella vista aroma aura photo video logo memo scenario ratio portfolio studio
    radio demo promo euro kilo macro repo combo casino disco folio halo piano solo tempo typo cameo patio polo silo stereo tattoo zoo
    kangaroo embryo mosquito buffalo domino zero avocado ghetto motto ego api kpi taxi ski emoji wiki uri alibi safari
    """.split()  # noqa: SIM905
)
"""Nouns ending in a vowel other than e, whose plural takes an s; words with such endings are otherwise not judged."""

ING_ED_LY = frozenset(
    """
    booking building meeting listing rating mapping thing string recording drawing painting setting posting offering hearing reading ring
    king wing spring ending warning finding filing opening rendering ranking sibling wedding greeting mailing feeling saying crossing
    landing feed bed seed speed breed deed bid need shed embed family assembly anomaly reply supply butterfly ally monopoly
    """.split()  # noqa: SIM905
)
"""Nouns that look like forms of a verb or adverbs."""

UNCOUNTABLE = frozenset(
    """
    data media series species news sms gps dns https http css js os ios tls ssl aws rss cms pos erp crm vat gst means headquarters
    equipment information metadata inventory stock staff feedback software hardware firmware evidence traffic weather money cash research
    knowledge advice furniture luggage mail history progress access content contents mathematics physics politics ethics genetics
    economics logistics statistics analytics metrics stats goods savings earnings thanks belongings proceeds premises surroundings
    personnel police cattle sheep fish deer aircraft offspring swiss chassis corps homework labour labor electricity water gold silver
    health music art wealth luck leisure electronics gymnastics athletics acoustics jewelry clothing merchandise machinery garbage rice
    bread sugar salt air oil fuel energy infrastructure
    """.split()  # noqa: SIM905
)
"""Words without a number, or with one that says nothing."""

NO_NOUNS = frozenset(
    """
    audit log journal ledger registry catalog catalogue queue inbox outbox config configuration archive backlog schedule calendar glossary
    directory settings preferences sales details specs terms permissions operations communications relations old new tmp temp temporary
    backup bak copy staging raw archived deleted active pending current latest all view mv summary total membership ownership business
    process minus basics lotus cache credentials plus index cache this his its was has does is as us yes versus perhaps besides across
    towards always less unless express kudos previous various serious anonymous continuous autonomous famous dangerous obvious redis
    kubernetes postgres jenkins paris texas kansas wales james thomas charles
    """.split()  # noqa: SIM905
)
"""Collections, states and names: a table may be called so under either style."""

NOUNS = frozenset(
    """
    ability abstract accessory account achievement acknowledgement acquisition act action activity actor ad address adjustment admin
    administrator advert affiliate age agency agent agreement airline airport alarm album alert allergy allocation allowance amendment
    amenity amount anchor animal announcement annotation answer apartment applicant application appointment approval approver arrangement
    arrival article artifact artist aspect assembly assertion assessment asset assignee assignment assistant association attachment
    attempt attendance attendee attribute auction audience author authority authorization availability avatar average award badge bag
    balance ballot banner bar barcode barrier base basket batch battery beneficiary benefit bill binding biography block blog board body
    bond book bookmark boot bottle boundary box branch brand breach break bridge broadcast broker bucket budget bug bundle button buyer
    cabin cabinet calculation call callback campaign cancellation candidate capability capacity car card career carrier cart case category
    cause cell center centre certificate certification chain chair challenge change channel chapter character charge chart chat check
    checkpoint chunk citizen city claim class classification classroom clause client clinic clip clock cluster coach code collaborator
    collection collector college color colour column comment commission commit commitment community company comparison competence
    competition competitor complaint component concept condition conference connection connector consent consignment constraint consumer
    contact container contest contract contractor contribution contributor conversation conversion cost counter country county coupon
    course court coverage creator credit crew culture currency cursor curve customer customization cycle dashboard database dataset date
    day deadline deal dealer debit debt decision default defect definition degree delivery department departure dependency deployment
    deposit description designer desk destination device dialog dimension direction director directive disbursement discount discussion
    disease dispatch display dispute distance distribution distributor district division doctor document domain donation donor door dose
    download draft driver duration duty edge edition editor effect element email employee employer employment encounter endpoint engine
    engineer enrollment enrolment enterprise entitlement entity entry environment episode error escalation establishment estimate
    evaluation event exam example exception exchange exclusion execution exercise exhibit expense experience experiment expert export
    expression extension facility fact factor factory faculty failure family farm fault favorite favourite feature fee field figure file
    fill film filter fine finger fixture flag flavor fleet flight floor flow flower folder follower font food forecast fork form format
    forum foundation fragment frame franchise frequency friend friendship function fund fulfillment gadget game garage garden gate gateway
    gender genre gift goal grade graph grant grid group guarantee guardian guest guide guideline handler hash header heading hint hit
    hobby holder holiday hook horse hospital host hotel hour house household hub icon identifier identity image impact import impression
    incident ingredient initiative input inquiry insight inspection inspector installation installment instance institute institution
    instruction instructor instrument insurance integration intention interaction interest interface interval intervention interview
    invitation invite invoice island isolation issue item iteration itinerary job joke journey judge key keyword kind kit kitchen label
    lab laboratory landlord lane language latitude lawyer layer layout lead leader league learner lease leave lecture lesson letter level
    library license licence lift light like limit line link list listener load loan locale location lock login logo longitude lookup loop
    lot lottery machine mailbox maintenance maker manager mandate manufacturer map margin mark marker market marketplace mask master match
    material matter maximum meal measure measurement mechanic mechanism medication member mention merchant message method migration
    milestone mine minimum minute mission mistake mode model moderator module molecule moment monitor month mood motion motor mount
    movement museum musician name nation nationality need neighbor neighborhood neighbour network node nomination note notice notification
    novel number nurse object objective obligation observation observer occasion occupation occurrence offence offender offense offer
    office officer operand operation operator opinion opponent opportunity option order organisation organization organizer origin outage
    outcome outlet output owner pack package page pair palette panel paper paragraph parameter parcel parent parish park parser part
    participant participation partition partner partnership party pass passage passenger passport password patch path patient pattern
    payee payer payment payout payroll peer penalty performance performer period permission permit pet pharmacy phase phone photograph
    phrase picture piece pilot pin pipeline pitch place plan plane plant plate platform play player playlist plot plugin podcast poem poet
    point policy poll pool population port portal position post postcode practice practitioner predicate prediction preference premium
    prescription presentation president prerequisite price principal print printer priority prisoner privilege prize probe problem
    procedure producer product profession professor profile program programme progression project projection promise promotion proof
    property proposal protocol provider province publication publisher purchase purpose qualification quarter query question questionnaire
    quotation quote race range rank rate reaction reader reason rebate recall receipt receiver recipe recipient recommendation
    reconciliation record recruiter redemption redirect reference referral refund region register registrant registration regulation
    reimbursement rejection relation relationship release reminder removal rent rental repair replacement report reporter repository
    representative request requirement rescue reservation residence resident resolution resource respondent response responsibility
    restaurant restriction result retailer return revenue reversal review reviewer revision reward rider right risk river road role
    rollout roof room rotation round route router routine row rule run runner sailor salary sale sample sanction scale scan school score
    scorecard screen screenshot script season seat secret section sector segment selection seller semester seminar sender sensor sentence
    sequence server service session shape share shareholder sheet shift ship shipment shipper shop shopper show side sign signal signature
    signup site size skill slide slot slug snapshot snippet solution song sort source space speaker specialist specification sponsor sport
    sprint square stage stakeholder stamp standard star state statement station statistic step stop store storm story strategy stream
    street strength stroke structure student study style subject submission subscriber subscription subsidiary subtask suburb suggestion
    suite supervisor supplier supply survey suspension symbol symptom system table tag talk target task tax taxonomy taxpayer teacher team
    technician technique technology template tenancy tenant term terminal territory test testimonial text theater theatre theme theory
    thread threat threshold thumbnail ticket tier tile time timeline timeout timer timestamp timesheet timeslot timezone tip title token
    tool tooltip topic topping tournament tower town toy trace track tracker trade trader trail trailer train trainer trait transaction
    transcript transfer transformation transition translation translator transmission transport trap traveler traveller treatment tree
    trend trial trigger trip truck trust trustee tutor tutorial tweet type unit universe university update upgrade upload usage use user
    username utility vacancy vacation vaccination vaccine validation validator valuation value variable variant variation vehicle vendor
    venue verification version vessel victim view viewer village violation visit visitor visualization vocabulary voice volume volunteer
    vote voter voucher wage waiver walk wall wallet ward warehouse warranty watch watcher watchlist webhook website wedge week weight well
    widget window winner wire wish wishlist withdrawal witness word worker workflow workout workplace worksheet workshop workspace world
    writer year zone zip deletion detail spec credential exemption hashtag namespace organism pixel polygon raster rectangle subnet tenure
    tonne waypoint geofence beacon
    """.split()  # noqa: SIM905
)
"""Plain nouns that schemas are full of; their plural follows the rules."""

PLURAL_FOR_ONE = frozenset(
    """
    seconds minutes hours days weeks months quarters years milliseconds bytes pixels points times notes comments remarks details
    instructions contents terms conditions observations directions requirements specifications guidelines ingredients symptoms steps answers
    options params parameters args arguments headers cookies keywords tags synonyms lyrics starts ends opens closes expires begins follows
    updates changes
    """.split()  # noqa: SIM905
)
"""Plurals that one value may have as its name: units, prose in one text, what comes in one text by its nature, verbs of moments."""
