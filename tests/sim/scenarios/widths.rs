//! Everything again, with numbers that pass the widths to which they might be cut.

use super::*;

/// Every scenario in which numbers pass by.
const SCENARIOS: &[fn()] = &[
    late_copies_of_tokens_are_harmless,
    copies_of_forgotten_packets_are_not_delivered_again,
    a_lone_message_does_not_wait_for_an_idle_ring,
    slow_data_is_not_asked_for_again,
    one_way_loss_does_not_make_the_ring_restless,
    a_merge_is_found_under_full_load,
    a_partition_may_come_at_any_step_of_a_membership_change,
    a_restart_may_be_faster_than_its_detection,
    a_pause_is_survived,
    networks_fail_differently_at_each_daemon_and_nobody_notices,
    one_way_faults_are_masked,
    the_loss_of_a_network_leaves_no_gap,
    order::any_of_the_first_tokens_may_be_lost,
    order::aru_never_passes_what_a_member_lacks,
    order::requests_fit_a_datagram_whatever_is_lost,
    order::loss_silences_no_sender,
    membership::recovery_ends_within_few_rotations,
    membership::a_full_window_with_holes_everywhere_is_recovered,
    membership::partitions_may_follow_faster_than_any_timeout,
    membership::a_policy_may_change_at_any_step_of_a_membership_change,
];

/// S01: numbers are 64 bits wide everywhere.
#[test]
fn scenarios_hold_where_numbers_outgrow_16_and_31_and_32_bits() {
    for width in [16, 31, 32] {
        // Most scenarios number a few hundred packets and pass the token some thousand times.
        for before in [100, 2000] {
            FIRST_NUMBER.set((1 << width) - before);
            let count = SCENARIOS.len();
            // Half of them with each distance, so that it takes no longer than one run of each.
            let half = if before == 100 { &SCENARIOS[..count / 2] } else { &SCENARIOS[count / 2..] };
            half.iter().for_each(|scenario| scenario());
        }
    }
    FIRST_NUMBER.set(0);
}

/// The numbers of the scenarios above do pass.
#[test]
fn a_ring_counts_past_a_width() {
    FIRST_NUMBER.set((1 << 32) - 100);
    let mut world = whole(3, 1);
    load(&mut world, SECOND, 1000);
    world.run(SECOND);
    assert!(stats(&world).iter().map(|stats| stats.packets_sent).sum::<u64>() > 200);
    assert_masked(&world);
    FIRST_NUMBER.set(0);
}
