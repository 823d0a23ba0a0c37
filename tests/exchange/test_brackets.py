"""OCO groups and brackets."""

from __future__ import annotations

from cryptosim_bt.exchange.brackets import OrderRelations


def test_oco_group_any_member_names_the_group():
    relations = OrderRelations()
    relations.add(1)
    relations.add(2, oco=1)
    relations.add(3, oco=2)
    assert relations.leader(3) == 1
    assert relations.take_rivals(2) == [3, 1]  # the newest first, as on BackBroker
    assert relations.take_rivals(1) == []


def test_oco_with_an_order_that_ended_leaves_an_order_alone():
    relations = OrderRelations()
    relations.add(1)
    relations.take_rivals(1)
    relations.add(2, oco=1)
    assert relations.take_rivals(2) == []


def test_bracket_parent_filled_wakes_children_and_one_child_ends_the_other():
    relations = OrderRelations()
    relations.add(1)
    relations.add(2, parent=1)
    relations.add(3, parent=1)
    assert not relations.is_child(1)
    assert relations.is_child(2)
    assert relations.take_children(1) == [2, 3]
    assert relations.take_bracket(3) == [2]
    assert relations.take_bracket(2) == []


def test_bracket_any_member_ended_ends_all():
    relations = OrderRelations()
    for ref, parent in ((1, None), (2, 1), (3, 1)):
        relations.add(ref, parent=parent)
    assert relations.take_bracket(2) == [1, 3]


def test_single_order_has_no_bracket_beside_itself():
    relations = OrderRelations()
    relations.add(1)
    assert relations.take_children(1) == []
    assert relations.take_bracket(1) == []
