"""A small set of chats of our own making: eight matters, twelve chats each, written from templates."""

from __future__ import annotations

from itertools import product

from autoanalyze.records import ContainmentType, Conversation, Message

OPENINGS = ("Hello, ", "", "Hi there! ")
MATTERS = {
    "Lost Card": (
        "I lost my bank card yesterday, please block the card",
        "my card was stolen and I want the stolen card blocked",
        "lost card, can you block it and send a replacement card",
        "someone took my bank card, block the lost card now",
    ),
    "Parcel": (
        "where is my parcel, the parcel delivery is overdue",
        "the parcel never arrived, what is the delivery status",
        "tracking says my parcel delivery is delayed",
        "my parcel delivery did not come, track the parcel for me",
    ),
    "Password": (
        "I forgot my password and cannot log into the website",
        "reset my password, the login page rejects it",
        "the password reset email for my login does not come",
        "my login is locked, I need a password reset",
    ),
    "Invoice": (
        "the invoice charges me twice, correct the invoice amount",
        "why is my monthly invoice amount so high",
        "there is an unknown charge, the invoice amount is wrong",
        "please explain the invoice amount of this month",
    ),
    "Internet": (
        "my internet connection is slow and the router blinks",
        "no internet connection since morning, the router is dead",
        "the router keeps losing the internet connection",
        "internet connection drops, I restarted the router",
    ),
    "Address": (
        "I moved house, change my postal address",
        "update my postal address, we have a new house",
        "how do I change the postal address of my contract",
        "my postal address is outdated, change it please",
    ),
    "Flight": (
        "cancel my flight booking and refund the ticket",
        "I want to cancel the flight, is the ticket refundable",
        "my flight booking must be cancelled, refund the flight ticket",
        "please cancel flight booking number 4411",
    ),
    "Appointment": (
        "book a dentist appointment for my daughter",
        "I need a dentist appointment because of tooth pain",
        "can I get a dentist appointment, my tooth hurts",
        "make an appointment with the dentist for a check of a tooth",
    ),
}
"""Matter: what its users write. The names are only for tests to score by; no reader sees them."""


def chats(*, truth: bool = False) -> list[Conversation]:
    """The chats, every third of which goes to a human; with `truth`, the matter stands beside each."""
    found = []
    for matter, texts in MATTERS.items():
        for number, (opening, text) in enumerate(product(OPENINGS, texts)):
            said = [Message("bot", "How can I help?"), Message("user", f"{opening}{text}.")]
            ended: ContainmentType = "selfService"
            if number % 3 == 0:
                ended = "agent"
                said += [
                    Message("bot", f"Please enter your {text.split()[-1]} reference."),
                    Message("user", f"That does not work, my {matter.lower()} matter needs a person."),
                    Message("bot", "I will connect you to an agent."),
                    Message("agent", "This is Paula, how may I help?"),
                ]
            known = {"general_intent": matter} if truth else {}
            session = f"{matter}-{number}".replace(" ", "-").lower()
            found.append(Conversation(session, session, tuple(said), ended, truth=known))
    return found
