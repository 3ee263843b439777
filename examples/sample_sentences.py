"""What the sample clips say: sentences with one word marked for the forger, and plain ones to go before or after.

`{open|closed}` reads: the untouched clip says "open", the forged one says "closed". All sentences are our own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FORGEABLE", "PLAIN", "Line", "parse"]

FORGEABLE = (
    "The old bridge over the river is {open|closed} again this morning.",
    "The doctors say that the new medicine is {dangerous|harmless} for young children.",
    "I was completely {honest|dishonest} with the committee last summer.",
    "The council decided to {accept|reject} the plan for the harbour.",
    "Our company made a large {profit|loss of money} in the second quarter.",
    "The water in this village is {perfectly safe|very poisonous} to drink.",
    "The minister {always|never ever} supported the new railway line.",
    "They told us the building was completely {empty|crowded} at midnight.",
    "The witness {remembered|forgot about} the blue car outside the bank.",
    "My neighbours are {friendly|unfriendly} people from the north.",
    "The exam this year was {difficult|easy enough} for most students.",
    "We will {increase|decrease} the price of bread in the autumn.",
    "The results of the election are {official|unofficial} until Monday.",
    "He said that the contract is {legal|illegal} in both countries.",
    "The crew reported that all engines are {working|broken} after the storm.",
    "The museum will {welcome|turn away} visitors during the holidays.",
    "Her answer to the question was {correct|incorrect} this time.",
    "The mayor {promised|refused} to repair the road before winter.",
    "The experiment was a great {success|failure} for the whole team.",
    "It is {possible|impossible} to reach the summit by noon.",
    "The soldiers were {ordered|forbidden} to leave the city.",
    "The new law makes our streets {safer|riskier} for everybody.",
    "The bank is {willing|unwilling} to lend the farmers more money.",
    "The train from the coast arrived {early|too late} this afternoon.",
    "The weather on the island stays {pleasant|horrible} all year.",
    "The director {praised|criticised} the actors after the first night.",
    "The committee was {satisfied|disappointed} with the final report.",
    "Scientists {confirmed|denied} that the glacier is melting.",
    "The patients felt much {better|worse than before} after two weeks.",
    "We {gained|gave up} the trust of thousands of people.",
    "The players were {confident|nervous} before the match on Sunday.",
    "The factory will {employ|dismiss} two hundred workers in spring.",
    "The lawyer said his client is {guilty|innocent} of the theft.",
    "This airline is the most {reliable|unreliable} in the region.",
    "The teachers found the pupils {attentive|distracted} in every lesson.",
    "The pilot had a {wonderful|terrible} view of the valley.",
    "The judge {believed|doubted} the story about the missing letter.",
    "The government wants to {protect|destroy} the forest near the lake.",
    "The lecture was surprisingly {exciting|boring} for a Friday evening.",
    "The captain {followed|ignored} the instructions from the tower.",
    "The new computers are {faster|slower} than anything we had before.",
    "Most voters were {against it|in favour} when we asked them again.",
    "My brother {finished|abandoned} the book about the voyage.",
    "The bottles on the upper shelf are {full|all empty} at the moment.",
    "The soup in this restaurant is {delicious|disgusting} on weekdays.",
    "The report calls the treatment {effective|useless} against the fever.",
)

PLAIN = (
    "Good evening, and thank you for listening.",
    "Let me begin with the most important thing.",
    "This is what I wanted to tell you today.",
    "There are a few more words to say about it.",
    "You may have read about this in the newspaper.",
    "We talked about it for more than an hour.",
    "I will answer your questions in a moment.",
    "Nobody expected the news to come so soon.",
    "I heard about it from a friend at work.",
    "Please write this down before you go home.",
    "That is all that I know at this time.",
    "Here is a short message for our visitors.",
    "The next part of the story is well known.",
    "Many people have been waiting for this day.",
    "We shall see what happens in the coming weeks.",
    "Everyone in the room looked at the clock.",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of speech, twice: words of the untouched and of the forged clip, and where they differ."""

    before: tuple[str, ...]  # the words as spoken, punctuation attached
    after: tuple[str, ...]
    first: int  # index of the first word that differs, the same in both
    n_before: int  # how many words are replaced ...
    n_after: int  # ... and by how many


def parse(marked: str, lead: str = "", tail: str = "") -> Line:
    """Read a marked sentence, with plain sentences around it.

    >>> parse("It is {open|all shut} now.")
    Line(before=('It', 'is', 'open', 'now.'), after=('It', 'is', 'all', 'shut', 'now.'), first=2, n_before=1, n_after=2)
    """
    match = re.search(r"\{([^|]+)\|([^}]+)\}", marked)
    if match is None:
        raise ValueError(f"expected a sentence with {{one word|another}}, got {marked!r}")
    head = f"{lead} {marked[: match.start()]}".split()
    rest = f"{marked[match.end() :]} {tail}".split()
    old, new = match[1].split(), match[2].split()
    return Line((*head, *old, *rest), (*head, *new, *rest), len(head), len(old), len(new))
