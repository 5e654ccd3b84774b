use proptest::prelude::*;

use super::*;
use crate::host::{cap, fakes};

fn range(inside: u32, outside: u32, count: u32) -> IdRange {
    IdRange { inside, outside, count }
}

fn default_maps(host: &HostCaps, uid: u32, gid: u32) -> Result<IdMaps> {
    settle(&Identity { uid, gid, ..identity() }, host)
}

fn identity() -> Identity {
    Identity { uid: 1000, gid: 1000, groups: Vec::new(), uid_map: None, gid_map: None, host_root: false }
}

fn with_maps(uid: &[IdRange], gid: &[IdRange]) -> Identity {
    Identity {
        uid: uid[0].inside,
        gid: gid[0].inside,
        uid_map: Some(uid.to_vec()),
        gid_map: Some(gid.to_vec()),
        ..identity()
    }
}

fn refusal(host: &HostCaps, identity: &Identity) -> (ErrorKind, String, String, String) {
    let error = settle(identity, host).expect_err("a refusal");
    let report = error.report();
    (
        report.kind,
        report.origin.clone().unwrap_or_default(),
        report.message.clone(),
        report.hint.clone().unwrap_or_default(),
    )
}

#[test]
fn unprivileged_is_the_caller_s_own_id_written_by_init() {
    let choice = default_maps(&fakes::user(), 1000, 1000).expect("maps");
    assert_eq!(choice.uid, [range(1000, 1000, 1)]);
    assert_eq!(choice.gid, [range(1000, 1000, 1)]);
    assert_eq!(choice.writer, MapWriter::Init);
    assert!(choice.deny_setgroups);
    assert_eq!(choice.describe_uids(), "1000 -> 1000 (the caller's own id)");
    let other = default_maps(&fakes::user(), 0, 7).expect("maps");
    assert_eq!((other.uid, other.gid), (vec![range(0, 1000, 1)], vec![range(7, 1000, 1)]));
}

#[test]
fn a_root_host_uses_ids_that_nobody_has() {
    let choice = default_maps(&fakes::root(), 1000, 1000).expect("maps");
    assert_eq!(choice.uid, [range(0, 0x6FFF_0000, 65_536)]);
    assert_eq!(choice.gid, choice.uid);
    assert_eq!(choice.writer, MapWriter::Host);
    assert!(!choice.deny_setgroups);
}

#[test]
fn a_root_host_prefers_the_range_set_aside_for_it() {
    let mut host = fakes::root();
    host.subuid = vec![(200_000, 65_536), (300_000, 5)];
    let choice = default_maps(&host, 1000, 1000).expect("maps");
    assert_eq!(choice.uid, [range(0, 200_000, 65_536)]);
    assert_eq!(choice.gid, [range(0, DEFAULT_FIRST, DEFAULT_COUNT)], "each kind by itself");
}

#[test]
fn an_id_inside_above_the_range_gets_the_last_id_of_it() {
    let mut host = fakes::root();
    host.subuid = vec![(200_000, 10)];
    let choice = default_maps(&host, 1000, 1000).expect("maps");
    assert_eq!(choice.uid, [range(0, 200_000, 9), range(1000, 200_009, 1)]);
    host.subuid = vec![(200_000, 1)];
    assert_eq!(default_maps(&host, 1000, 1000).expect("maps").uid, [range(1000, 200_000, 1)]);
}

#[test]
fn in_a_user_namespace_the_ids_come_from_its_own_map() {
    let mut host = fakes::root();
    // Rootless podman: its root is uid 1000 outside.
    host.uid_map = vec![(0, 1000, 1), (1, 100_000, 65_536)];
    host.gid_map = host.uid_map.clone();
    let choice = default_maps(&host, 1000, 1000).expect("maps");
    assert_eq!(choice.uid, [range(0, 0x8000, 65_534 - 0x8000)]);
    // A long map: as many as ever, from its upper end.
    host.uid_map = vec![(0, 100_000, 1_000_000)];
    assert_eq!(
        default_maps(&host, 1000, 1000).expect("maps").uid,
        [range(0, 1_000_000 - DEFAULT_COUNT, DEFAULT_COUNT)]
    );
    // `unshare -r` as uid 1000: only one id there is, and it isn't the host's root.
    host.uid_map = vec![(0, 1000, 1)];
    host.gid_map = vec![(0, 1000, 1)];
    host.setgroups_allowed = false;
    let choice = default_maps(&host, 1000, 1000).expect("maps");
    assert_eq!((choice.uid, choice.gid), (vec![range(1000, 0, 1)], vec![range(1000, 0, 1)]));
    assert!(choice.deny_setgroups, "inherited");
    // The same as root: it is the host's root after all.
    host.uid_map = vec![(0, 0, 1)];
    assert_eq!(refusal(&host, &identity()).0, ErrorKind::Unsupported);
}

#[test]
fn host_uid_0_is_never_mapped_unless_asked_for_by_name() {
    let root = fakes::root();
    let (kind, origin, message, hint) = refusal(&root, &with_maps(&[range(0, 0, 65_536)], &[range(0, 0, 65_536)]));
    assert_eq!((kind, origin.as_str()), (ErrorKind::Unsupported, "identity.uid_map"));
    assert!(message.contains("uid 0 of the host") && hint.contains("identity.host_root = true"), "{message} {hint}");

    let mut asked = with_maps(&[range(0, 0, 65_536)], &[range(0, 0, 65_536)]);
    asked.host_root = true;
    let choice = settle(&asked, &root).expect("asked for");
    assert_eq!(choice.writer, MapWriter::Host);

    let by_default = settle(&Identity { host_root: true, ..identity() }, &root).expect("asked for");
    assert_eq!(by_default.uid, [range(1000, 0, 1)]);
    assert_eq!(by_default.writer, MapWriter::Host);
    assert!(!by_default.deny_setgroups, "so that root's groups can be dropped");

    // Root without the capabilities: only its own id could be mapped.
    let mut weak = fakes::root();
    weak.capabilities = 0;
    assert!(refusal(&weak, &identity()).2.contains("without CAP_SETUID"));
}

#[test]
fn a_range_for_users_and_the_own_group_go_through_the_helpers_together() {
    let mut host = fakes::apparmor();
    host.newuidmap = Some("/usr/bin/newuidmap".into());
    host.newgidmap = Some("/usr/bin/newgidmap".into());
    let mixed = Identity { uid: 0, gid: 5, uid_map: Some(vec![range(0, 100_000, 65_536)]), ..identity() };
    let maps = settle(&mixed, &host).expect("maps");
    assert_eq!(maps.gid, [range(5, 1000, 1)]);
    assert_eq!((maps.writer, maps.deny_setgroups), (MapWriter::Newidmap, true));
}

#[test]
fn mapping_zero_needs_setfcap() {
    let mut host = fakes::docker();
    assert!(host.has_capability(cap::SETFCAP), "Docker's default set has it");
    host.capabilities &= !(1 << cap::SETFCAP);
    let asked = Identity { host_root: true, ..identity() };
    assert!(refusal(&host, &asked).2.contains("CAP_SETFCAP"));
    assert!(default_maps(&host, 1000, 1000).is_ok());
}

#[test]
fn ranges_of_an_unprivileged_user_go_through_newuidmap() {
    let mut host = fakes::apparmor();
    let maps =
        with_maps(&[range(0, 1000, 1), range(1, 100_000, 65_536)], &[range(0, 1000, 1), range(1, 100_000, 65_536)]);
    let (_, origin, message, hint) = refusal(&host, &maps);
    assert_eq!(origin, "identity.uid_map");
    assert!(message.contains("newuidmap") && hint.contains("apt install uidmap"), "{message} {hint}");

    host.newuidmap = Some("/usr/bin/newuidmap".into());
    host.newgidmap = Some("/usr/bin/newgidmap".into());
    let choice = settle(&maps, &host).expect("maps");
    assert_eq!(choice.writer, MapWriter::Newidmap);
    assert!(!choice.deny_setgroups);

    host.no_new_privs = true;
    assert!(refusal(&host, &maps).2.contains("no_new_privs"));
}

#[test]
fn a_range_outside_of_etc_subuid_is_refused_with_the_line_to_add() {
    let mut host = fakes::user();
    host.user = Some("alice".into());
    let (kind, origin, message, hint) = refusal(&host, &with_maps(&[range(0, 100_000, 65_536)], &[range(0, 1000, 1)]));
    assert_eq!((kind, origin.as_str()), (ErrorKind::Unsupported, "identity.uid_map[0]"));
    assert!(message.contains("none"), "{message}");
    assert!(hint.contains("`alice:100000:65536` to /etc/subuid"), "{hint}");
}

#[test]
fn supplementary_groups_need_setgroups() {
    let asked = Identity { groups: vec![1000], ..identity() };
    let (kind, origin, _, hint) = refusal(&fakes::user(), &asked);
    assert_eq!((kind, origin.as_str()), (ErrorKind::Unsupported, "identity.groups"));
    assert!(hint.contains("/etc/subgid"), "{hint}");
    assert!(settle(&asked, &fakes::root()).is_ok());
    let unmapped = Identity { groups: vec![70_000], ..identity() };
    assert_eq!(refusal(&fakes::root(), &unmapped).0, ErrorKind::Config);
}

#[test]
fn maps_that_are_none_are_config_errors() {
    let root = fakes::root();
    for (map, words) in [
        (vec![range(0, 100_000, 0)], "count of at least 1"),
        (vec![range(0, 100_000, 10), range(5, 200_000, 10)], "inside ids overlap"),
        (vec![range(0, 100_000, 10), range(10, 100_009, 10)], "outside ids overlap"),
        (vec![range(u32::MAX - 1, 100_000, 2)], "above the last id"),
        (vec![range(0, u32::MAX, 1)], "above the last id"),
        ((0..341).map(|i| range(i, 100_000 + i * 2, 1)).collect(), "more than the kernel takes"),
        ((0..300).map(|i| range(4_000_000_000 + i, 3_000_000_000 + i * 2, 1)).collect(), "more than the kernel takes"),
    ] {
        let (kind, origin, message, _) = refusal(&root, &with_maps(&map, &[range(0, 100_000, 1)]));
        assert_eq!(kind, ErrorKind::Config, "{message}");
        assert!(origin.starts_with("identity.uid_map"), "{origin}");
        assert!(message.contains(words), "{message}");
    }
    let none = Identity { uid_map: Some(Vec::new()), ..identity() };
    assert!(refusal(&root, &none).2.contains("at least one range"));
    let unmapped = Identity { uid: 5, uid_map: Some(vec![range(0, 100_000, 5)]), ..identity() };
    assert_eq!(refusal(&root, &unmapped).1, "identity.uid");
}

#[test]
fn ids_that_our_own_namespace_lacks_are_refused() {
    let mut host = fakes::root();
    host.uid_map = vec![(0, 1000, 1), (1, 100_000, 65_536)];
    let (_, origin, message, _) = refusal(&host, &with_maps(&[range(0, 100_000, 10)], &[range(0, 100, 1)]));
    assert_eq!(origin, "identity.uid_map[0]");
    assert!(message.contains("1-65536"), "{message}");
}

#[test]
fn the_kernel_s_text() {
    assert_eq!(map_text(&[range(0, 1000, 1), range(1, 100_000, 65_536)]), "0 1000 1\n1 100000 65536\n");
}

fn ids() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..70_000, any::<u32>().prop_filter("an id", |id| *id != u32::MAX)]
}

fn subids() -> impl Strategy<Value = Vec<(u32, u32)>> {
    proptest::collection::vec((1u32..u32::MAX / 2, 1u32..200_000), 0..4)
}

proptest! {
    #[test]
    fn defaults_are_maps_that_hold_the_ids_and_spare_root(uid in ids(), gid in ids(), subuid in subids(), subgid in subids(), privileged in any::<bool>()) {
        let mut host = if privileged { fakes::root() } else { fakes::user() };
        host.subuid = subuid;
        host.subgid = subgid;
        let choice = default_maps(&host, uid, gid).expect("a default for any id");
        for (kind, map, id) in [(Kind::Uid, &choice.uid, uid), (Kind::Gid, &choice.gid, gid)] {
            prop_assert!(maps::check(kind, map).is_ok(), "{map:?}");
            let outside = to_outside(map, id);
            prop_assert!(outside.is_some_and(|id| id != 0));
            prop_assert_eq!(outside.and_then(|id| to_inside(map, id)), Some(id));
        }
        prop_assert_eq!(to_inside(&choice.uid, 0), None);
    }

    #[test]
    fn a_map_of_any_namespace_around_us_never_panics_nor_leaves_it(map in proptest::collection::vec((any::<u32>(), any::<u32>(), 1..u32::MAX), 0..5), uid in ids()) {
        let mut host = fakes::root();
        host.uid_map.clone_from(&map);
        host.gid_map = map;
        if let Ok(choice) = default_maps(&host, uid, uid) {
            for range in &choice.uid {
                prop_assert!(maps::is_mapped(&host.uid_map, range.outside, range.count));
            }
        }
    }

    #[test]
    fn translation_round_trips_for_every_checked_map(lines in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 1..6), id in any::<u32>()) {
        let map: Vec<IdRange> = lines.iter().map(|&(i, o, c)| range(i, o, c % 100_000)).collect();
        let inside = to_outside(&map, id);
        if maps::check(Kind::Uid, &map).is_ok() {
            if let Some(outside) = inside {
                prop_assert_eq!(to_inside(&map, outside), Some(id));
            }
            for line in &map {
                prop_assert_eq!(to_outside(&map, line.inside), Some(line.outside));
            }
        }
    }

    #[test]
    fn coverage_agrees_with_counting(ranges in proptest::collection::vec((0u32..40, 1u32..20), 0..5), first in 0u32..50, count in 1u32..30) {
        let one_by_one = (first..first + count).all(|id| ranges.iter().any(|&(s, n)| id >= s && id < s + n));
        prop_assert_eq!(maps::is_covered(&ranges, first, count), one_by_one);
    }
}
