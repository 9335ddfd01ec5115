"""Spellings of one name, and what guards keep apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoanalyze.phases.duplicates.spelling import normal_form, objection, objection_to


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Claim Status", "claim  status"),
        ("Claim Status", "claim-status"),
        ("Claim Status", "Status of the Claims"),
        ("ClaimStatus", "claim_status"),
        ("Policies", "Policy"),
        ("Customer's Address", "Customers Address"),
    ],
)
def test_spellings_of_one_name(first: str, second: str) -> None:
    """Case, spacing, plural and word order make no other name."""
    assert normal_form(first) == normal_form(second)
    assert objection(first, second) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Address", "Addres Change"),
        ("Transfer From Bank To Wallet", "Transfer From Wallet To Bank"),
        ("Refund Under 50", "Refund Over 50"),
        ("Status", "Statu"),
    ],
)
def test_other_names_are_no_spellings(first: str, second: str) -> None:
    """Other words are other names, and where a word gives a direction, order counts."""
    assert normal_form(first) != normal_form(second)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("Refund Over 50", "Refund Over 500", "numbers"),
        ("Second Reminder 2", "Reminder Three", "numbers"),
        ("Refund Under 50", "Refund Over 50", "opposites"),
        ("Upgrade of Plan", "Plan Downgrade", "opposites"),
        ("Valid ID Card", "Invalid ID Card", "opposites"),
        ("Account Activated", "Deactivated Account", "opposites"),
        ("Card Activated", "Card Not Activated", "denies"),
        ("Bill Not Received", "Received Invoice", "denies"),
        ("Transfer From Bank To Wallet", "Transfer From Wallet To Bank", "direction"),
    ],
)
def test_guards_object(first: str, second: str, said: str) -> None:
    """Numbers, opposites, negations and directions keep two labels apart, either way round."""
    assert said in (objection(first, second) or "")
    assert said in (objection(second, first) or "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Claim Status", "Check Claim"),
        ("Invalid Member ID", "Missing Member ID"),  # the judge's to tell
        ("Item Not Received", "Missing Item"),
        ("Cannot Log In", "Log In Problem"),
        ("Two Factor Problem", "2 Factor Issue"),
        ("Error 404", "Page Error"),
        ("Debit Card Declined", "Credit Card Declined"),  # the judge's to tell
    ],
)
def test_guards_are_silent_otherwise(first: str, second: str) -> None:
    """What words alone cannot tell is left to the judge."""
    assert objection(first, second) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_objections_do_not_depend_on_the_order(first: str, second: str) -> None:
    """Whatever is written, both orders get an objection or none does; a label never objects to itself."""
    assert (objection(first, second) is None) == (objection(second, first) is None)
    assert objection(first, first) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Invalid Member ID", "Member ID Not Valid"),
        ("Unsubscribed", "Not Subscribed"),
        ("24 Hour", "Twenty Four Hour"),
        ("No Internet Connection", "Internet Down"),
        ("No Hot Water", "Hot Water Problem"),
        ("Inactive Account", "Account Not Active"),
        ("Dissatisfied With Service", "Not Satisfied With Service"),
        ("Nonrefundable", "Not Refundable"),
        ("Non-Refundable Ticket", "Ticket Is Not Refundable"),
        ("Wireless Printer", "Printer Without Wire"),
        ("Paperless Billing", "No Paper Bill"),
        ("Unpaid Invoice", "Invoice Not Paid"),
        ("Fifty Dollar Fee", "50 Dollar Fee"),
        ("One Hundred And Fifty", "150"),
        ("1,000 Points", "Thousand Points"),
        ("Two Dozen Roses", "24 Roses"),
        ("Power Outage", "No Power"),
        ("No Signal", "Signal Lost"),
        ("No Dial Tone", "Dial Tone Missing"),
        ("Cannot Log In", "Log In Problem"),
        ("Login Failed", "Unable To Sign In"),
        ("Refund Over 50", "Over 50 Refund"),
        ("No More Than 50", "Up To 50"),
        ("At Least 50", "Not Less Than 50"),
        ("Under 50", "Less Than 50"),
        ("Two Factor Problem", "2 Factor Issue"),
        ("Item Not Received", "Missing Item"),
        ("Incorrect Address", "Address Not Correct"),
        ("Unauthorised Charge", "Charge Not Authorized"),
        ("Disconnected", "Connection Problem"),
        ("Payment Failed", "Payment Not Successful"),
        ("Undelivered Package", "Package Not Delivered"),
        ("Locked Account", "Account Lockout"),
        ("Twenty-One Days", "21 Days"),
        ("No Longer Active", "Deactivated"),
        ("Illegal Charge", "Charge Not Legal"),
        ("Disabled Feature", "Feature Not Enabled"),
        ("Closed Account", "Account Not Open"),
        ("30 Second Delay", "30s Delay"),
        ("18 Or Older", "At Least 18"),
        ("Discount Problem", "Problem With Discount"),
        ("Cancelled Order", "Order Cancellation"),
        ("Third Party", "3rd Party"),
        ("Unable To Activate Card", "Card Cannot Be Activated"),
        ("Card Not Working", "Card Does Not Work"),
        ("Internet Not Working", "No Internet"),
        ("Irregular Bill", "Bill Not Regular"),
        ("Cordless Phone", "Phone Without Cord"),
        ("Impossible Login", "Login Not Possible"),
        ("Half Price", "Half Price Offer"),
        ("Late Delivery", "Delivery Was Late"),
        ("Improper Billing", "Billing Not Proper"),
        ("Twenty Five Percent Off", "25 Percent Off"),
        ("Display Broken", "Screen Broken"),
        ("Invoice Missing", "No Invoice"),
        ("Missing Invoice", "Invoice Not Received"),
        ("Hundred Dollars", "100 Dollars"),
    ],
)
def test_one_thing_in_other_words_is_left_to_the_judge(first: str, second: str) -> None:
    """A negation inside a word is one by a word, number words are digits, and what is missing does not work:
    guards are silent, either way round."""
    assert objection(first, second) is None
    assert objection(second, first) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Locked Account", "Account Unlocking"),
        ("Opening Account", "Close Account"),
        ("Refund Under 50", "Refund Of More Than 50"),
        ("Refund Over 50", "Refund Over 500"),
        ("Unlock Phone", "Phone Locked"),
        ("Account Closure", "Account Opened"),
        ("Closing Ticket", "Open Ticket"),
        ("Below 100", "At Least 100"),
        ("Up To 10 Items", "More Than 10 Items"),
        ("Over 30 Days", "Fewer Than Thirty Days"),
        ("Orders Above Fifty", "Orders Up To 50"),
        ("18 And Over", "Under 18"),
        ("Valid ID Card", "Invalid ID Card"),
        ("Account Activated", "Deactivated Account"),
        ("Card Activated", "Card Not Activated"),
        ("Bill Not Received", "Received Invoice"),
        ("Twenty Four Hour", "24 Minute 48"),
        ("Twenty Three Days", "24 Days"),
        ("Fifty", "Sixty"),
        ("Subscription", "Unsubscribe"),
        ("Subscribing To Newsletter", "Newsletter Unsubscription"),
        ("Log In", "Logging Out"),
        ("Sign In", "Log Out"),
        ("Enable Roaming", "Disabling Of Roaming"),
        ("Upgraded Plan", "Plan Downgrade"),
        ("Connect Device", "Device Disconnection"),
        ("Approval Of Loan", "Loan Denied"),
        ("Increase Limit", "Limit Decreased"),
        ("Turn On Alerts", "Alerts Turned Off"),
        ("Paid Bill", "Unpaid Bill"),
        ("Satisfied", "Dissatisfied"),
        ("Refundable Fare", "Nonrefundable Fare"),
        ("Unable To Pay", "Able To Pay"),
        ("Cannot Activate Card", "Activate Card"),
        ("Transfer From Bank To Wallet", "Transfer From Wallet To Bank"),
        ("Overcharged", "Undercharged"),
        ("First Reminder", "Second Reminder"),
        ("Paper Bill", "Paperless Bill"),
        ("Received Package", "Never Received Package"),
        ("More Than Expected", "Less Than Expected"),
        ("Deposit", "Withdrawing Money"),
        ("Sent Money", "Money Received"),
        ("Minimum 50", "Maximum 50"),
        ("Early Arrival", "Late Arrival"),
        ("Less Than 24 Hours", "24 Hours Or More"),
        ("Not Open", "Open Store"),
        ("Store Closed", "Store Not Closed"),
        ("Legal Charge", "Illegal Charge"),
        ("Responsible", "Irresponsible"),
        ("Prepaid Plan", "Postpaid Plan"),
        ("No Refund", "Refund"),
        ("Problem Solved", "Problem Not Solved"),
        ("Card Problem", "No Problem With Card"),
    ],
)
def test_opposites_are_found_in_any_inflection(first: str, second: str) -> None:
    """Also those by prefix, by particle and by the side of a number, either way round."""
    assert objection(first, second) is not None
    assert objection(second, first) is not None


@pytest.mark.parametrize(
    ("first", "second", "certain"),
    [
        ("Card Activated", "Card Not Activated", True),
        ("Locked Account", "Account Unlocking", True),
        ("Refund Over 50", "Refund Over 500", True),
        ("Bill Not Received", "Received Invoice", False),
        ("Open Account Request", "Closed Tickets", False),
    ],
)
def test_objections_to_labels_with_other_words_may_be_overruled(
    first: str, second: str, certain: bool
) -> None:
    """Certain is what differs in nothing else, and in numbers."""
    found = objection_to(first, second)
    assert found is not None
    assert found.certain == certain
