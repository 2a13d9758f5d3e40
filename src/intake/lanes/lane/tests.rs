use super::*;

/// A batch called by the first order that it names. It has waited for so many seconds, and has ten.
fn waiting(orders: usize, names: &[u64], clients: &[u64], seconds: u64) -> Waiting<u64> {
    let since = Instant::now().checked_sub(Duration::from_secs(seconds));
    let since = since.expect("a machine that has run for longer");
    Waiting {
        keys: ConflictKeys {
            orders: names.iter().copied().collect(),
            clients: clients.iter().copied().collect(),
        },
        orders,
        wide_network: 0,
        since,
        until: since + Duration::from_secs(10),
        met_lock: false,
        batch: names.first().copied().unwrap_or(0),
    }
}

fn lane(waiting: impl IntoIterator<Item = Waiting<u64>>) -> Lane<u64> {
    Lane {
        waiting: waiting.into_iter().collect(),
        ..Lane::default()
    }
}

fn names(group: &[Waiting<u64>]) -> Vec<u64> {
    group.iter().map(|waiting| waiting.batch).collect()
}

/// The next group, for which writers of all kinds are free, and how many batches were late.
fn next(lane: &mut Lane<u64>) -> (Vec<u64>, Option<Writer>, usize) {
    let mut too_late = Vec::new();
    let group = lane.next_group(true, Instant::now(), &mut too_late);
    let (writer, group) = group.unzip();
    (names(&group.unwrap_or_default()), writer, too_late.len())
}

const LARGE: usize = 101;

#[test]
fn small_batches_go_together_but_those_of_the_same_order_do_not() {
    let batches = [1, 2, 1, 3].map(|order| waiting(1, &[order], &[9], 0));
    let mut lane = lane(batches);
    assert_eq!(next(&mut lane), (vec![1, 2], Some(Writer::Shared), 0));
    // And none behind it that shares a client with it.
    assert_eq!(next(&mut lane), (vec![1, 3], Some(Writer::Shared), 0));
    assert_eq!(next(&mut lane), (vec![], None, 0));
}

#[test]
fn a_shared_transaction_has_room_for_500_orders() {
    let mut lane = lane((1..=7).map(|order| waiting(100, &[order], &[], 0)));
    assert_eq!(
        next(&mut lane),
        (vec![1, 2, 3, 4, 5], Some(Writer::Shared), 0)
    );
    assert_eq!(next(&mut lane), (vec![6, 7], Some(Writer::Shared), 0));
}

#[test]
fn without_coalescing_each_batch_goes_by_itself() {
    let mut lane = lane([waiting(1, &[1], &[], 0), waiting(1, &[2], &[], 0)]);
    let (_, group) = lane
        .next_group(false, Instant::now(), &mut Vec::new())
        .expect("a group");
    assert_eq!(names(&group), [1]);
}

#[test]
fn a_batch_whose_time_is_up_is_left_out() {
    let mut lane = lane([
        waiting(1, &[1], &[], 11),
        waiting(1, &[2], &[], 1),
        waiting(LARGE, &[3], &[], 11),
        waiting(1, &[1], &[], 0),
    ]);
    assert_eq!(next(&mut lane), (vec![2, 1], Some(Writer::Shared), 2));
    assert!(lane.waiting.is_empty());
}

#[test]
fn small_batches_overtake_a_large_one_until_it_has_waited_for_long() {
    for (waited, overtaken) in [(0, true), (3, false)] {
        let mut lane = lane([
            waiting(LARGE, &[1], &[7, 8], waited),
            waiting(1, &[2], &[7], 0),
            waiting(1, &[3], &[6], 0),
        ]);
        // Somebody changes one of its clients.
        lane.busy.insert(8);
        let small = if overtaken { vec![2, 3] } else { vec![3] };
        assert_eq!(next(&mut lane), (small, Some(Writer::Shared), 0));
        lane.busy.clear();
        assert_eq!(next(&mut lane), (vec![1], Some(Writer::Large), 0));
    }
}

#[test]
fn a_large_batch_that_lost_two_races_keeps_small_ones_from_its_clients_until_it_is_over() {
    let mut lane = lane([waiting(LARGE, &[1], &[7], 0)]);
    let (writer, group) = lane
        .next_group(true, Instant::now(), &mut Vec::new())
        .expect("a group");
    let id = lane.run(writer, &group);
    lane.lost_race(id, &group[0], 1);
    assert!(lane.protected.is_empty(), "one race is not enough");
    lane.lost_race(id, &group[0], RACES_LOST);
    lane.waiting
        .extend([waiting(1, &[2], &[7], 0), waiting(1, &[3], &[6], 0)]);
    assert_eq!(next(&mut lane), (vec![3], Some(Writer::Shared), 0));
    assert_eq!(next(&mut lane), (vec![], None, 0));
    lane.end(id, Vec::new());
    assert_eq!(next(&mut lane), (vec![2], Some(Writer::Shared), 0));
}

#[test]
fn once_a_transaction_has_decided_nobody_waits_for_the_clients_that_it_leaves_unchanged() {
    for orders in [1, LARGE] {
        let mut lane = lane([waiting(orders, &[1], &[7, 8], 0)]);
        let (writer, group) = lane
            .next_group(true, Instant::now(), &mut Vec::new())
            .expect("a group");
        let id = lane.run(writer, &group);
        lane.waiting.push_back(waiting(LARGE, &[2], &[7], 0));
        lane.waiting.push_back(waiting(LARGE, &[3], &[8], 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        lane.decided(id, [8].into_iter());
        assert_eq!(next(&mut lane), (vec![3], Some(Writer::Large), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        lane.end(id, Vec::new());
        assert_eq!(next(&mut lane), (vec![2], Some(Writer::Large), 0));
    }
}

#[test]
fn where_too_many_wait_the_last_of_the_largest_crowd_is_displaced_by_a_smaller_one() {
    let from = |wide_network: u64, order: u64| Waiting {
        wide_network,
        ..waiting(1, &[order], &[], 0)
    };
    let mut lane = lane([from(1, 10), from(1, 11), from(2, 20), from(1, 12)]);
    let displaced =
        |lane: &mut Lane<u64>, newcomer| lane.displace(newcomer).map(|waiting| waiting.batch);
    assert_eq!(
        displaced(&mut lane, 1),
        None,
        "not for one of the crowd itself"
    );
    assert_eq!(displaced(&mut lane, 3), Some(12));
    lane.waiting.push_back(from(3, 30));
    assert_eq!(
        displaced(&mut lane, 3),
        None,
        "that would only change who waits"
    );
    assert_eq!(displaced(&mut lane, 4), Some(11));
}

#[test]
fn what_met_a_lock_goes_to_a_patient_writer_and_keeps_nobody_waiting() {
    let locked = |order| Waiting {
        met_lock: true,
        ..waiting(1, &[order], &[order], 0)
    };
    let mut lane = lane([
        locked(1),
        waiting(1, &[2], &[2], 0),
        waiting(1, &[4], &[5], 0),
        locked(3),
        waiting(1, &[6], &[1], 0),
    ]);
    // The same records again, by another batch.
    let again = waiting(1, &[], &[5], 0);
    lane.met_lock(&again);
    let busy = [(); WRITERS].map(|()| lane.run(Writer::Patient, &[]));
    let shared = lane.run(Writer::Shared, &[]);
    assert_eq!(next(&mut lane), (vec![2], Some(Writer::Shared), 0));
    assert_eq!(next(&mut lane), (vec![], None, 0));
    // Patient writers take one batch each.
    lane.run(Writer::Shared, &[]);
    for id in busy {
        lane.end(id, Vec::new());
    }
    assert_eq!(next(&mut lane), (vec![1], Some(Writer::Patient), 0));
    lane.busy.insert(1);
    assert_eq!(next(&mut lane), (vec![4], Some(Writer::Patient), 0));
    assert_eq!(next(&mut lane), (vec![3], Some(Writer::Patient), 0));
    assert_eq!(next(&mut lane), (vec![], None, 0));
    lane.end(shared, Vec::new());
}

#[test]
fn a_transaction_with_an_open_outcome_leaves_its_writer_and_keeps_its_keys() {
    let mut lane = lane((1..=2).map(|order| waiting(LARGE, &[order], &[], 0)));
    let run = |lane: &mut Lane<u64>| {
        let (writer, group) = lane.next_group(true, Instant::now(), &mut Vec::new())?;
        Some((names(&group), lane.run(writer, &group)))
    };
    let (_, first) = run(&mut lane).expect("a free writer");
    run(&mut lane).expect("a free writer");
    lane.waiting.push_back(waiting(LARGE, &[1, 3], &[], 0));
    lane.waiting.push_back(waiting(LARGE, &[4], &[], 0));
    assert_eq!(run(&mut lane), None, "all writers are busy");
    lane.leave_writer(first);
    assert_eq!(lane.under_way(), 1);
    let (names, _) = run(&mut lane).expect("a free writer");
    assert_eq!(names, [4], "the other waits for the same order");
    lane.end(first, Vec::new());
    assert_eq!(run(&mut lane), None, "all writers are busy again");
}
