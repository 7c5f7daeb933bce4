//! Campaigns: revisions that take force, and what else is noted about a campaign.

use std::collections::HashMap;

use campaignd::store::{Act, CampaignMark, CampaignRecord, NewRevision, Store};
use jiff::Timestamp;

use super::{at, campaign, change, is_not_found, on_every_store, revision};

fn apply(store: &mut dyn Store, revision: &NewRevision) -> i64 {
    change(store, |store| store.campaign_apply(revision)).unwrap()
}

fn mark(store: &mut dyn Store, mark: CampaignMark) -> CampaignRecord {
    change(store, |store| store.campaign_mark(&campaign("sale"), &mark)).unwrap();
    only(store)
}

/// The one campaign there is.
fn only(store: &mut dyn Store) -> CampaignRecord {
    let mut campaigns = store.campaigns().unwrap();
    assert_eq!(campaigns.len(), 1);
    assert_eq!(store.campaigns_named(&[campaign("nobody"), campaign("sale")]).unwrap(), campaigns);
    campaigns.remove(0)
}

#[test]
fn a_new_ledger_is_empty() {
    on_every_store(|store| {
        assert_eq!(store.campaigns().unwrap(), []);
        assert_eq!(store.runs_open().unwrap(), []);
        assert_eq!(store.questions_open().unwrap(), []);
        assert_eq!(store.past_calls("openim", None, Timestamp::UNIX_EPOCH).unwrap(), []);
        assert_eq!(store.verify().unwrap(), []);
        assert_eq!(change(store, |store| store.recover(&HashMap::new(), at(0))).unwrap(), 0);
    });
}

#[test]
fn a_revision_takes_force() {
    on_every_store(|store| {
        let new = NewRevision { enabled: false, ..revision("sale", at(7)) };
        let number = apply(store, &new);
        let expected = CampaignRecord {
            id: campaign("sale"),
            revision: number,
            path: new.path.clone(),
            sha256: new.sha256.clone(),
            yaml: new.yaml.clone(),
            enabled: false,
            removed: false,
            rejected: false,
            gone_since: None,
            in_force_since: at(7),
            held_since: None,
            removal_allowed: false,
            paused: None,
            decided_until: at(7),
            queued: None,
            counts_from: at(7),
        };
        assert_eq!(only(store), expected);
    });
}

#[test]
fn a_change_decides_the_slots_before_it_and_never_fewer() {
    on_every_store(|store| {
        let first = apply(store, &revision("sale", at(10)));
        let mut latest = first;
        for (applied, decided_until) in [(20, 20), (5, 20), (30, 30)] {
            let next = apply(store, &revision("sale", at(applied)));
            assert!(next > latest);
            assert_eq!((only(store).revision, only(store).decided_until), (next, at(decided_until)));
            latest = next;
        }
    });
}

#[test]
fn a_campaign_is_marked() {
    on_every_store(|store| {
        apply(store, &revision("sale", at(0)));
        let plain = only(store);
        let moved = mark(store, CampaignMark::Moved { path: "campaigns/autumn.yaml".to_owned() });
        assert_eq!(moved, CampaignRecord { path: "campaigns/autumn.yaml".to_owned(), ..plain });
        let marked = |rejected, gone_since, held_since| CampaignRecord {
            rejected,
            gone_since,
            held_since,
            ..moved.clone()
        };
        assert_eq!(mark(store, CampaignMark::Rejected), marked(true, None, None));
        assert_eq!(mark(store, CampaignMark::Accepted), marked(false, None, None));
        assert_eq!(mark(store, CampaignMark::Gone { since: at(3) }), marked(false, Some(at(3)), None));
        assert_eq!(mark(store, CampaignMark::Held { since: at(4) }), marked(false, None, Some(at(4))));
        assert_eq!(mark(store, CampaignMark::Gone { since: at(5) }), marked(false, Some(at(5)), None));
        assert_eq!(mark(store, CampaignMark::Back), marked(false, None, None));
    });
}

#[test]
fn a_person_allows_the_removals_that_are_held() {
    on_every_store(|store| {
        apply(store, &revision("sale", at(0)));
        let allow = |store: &mut dyn Store| {
            let act = Act { at: at(9), who: "alice".to_owned(), why: None };
            change(store, |store| store.removals_allow(&act)).unwrap()
        };
        assert_eq!(allow(store), [], "nothing is held");
        for ending in [CampaignMark::Back, CampaignMark::Removed] {
            mark(store, CampaignMark::Held { since: at(4) });
            assert_eq!(allow(store), [campaign("sale")]);
            assert!(only(store).removal_allowed);
            assert_eq!(allow(store), [], "it is allowed already");
            assert!(!mark(store, ending).removal_allowed);
        }
    });
}

#[test]
fn a_campaign_is_in_force_since_it_came() {
    on_every_store(|store| {
        apply(store, &revision("sale", at(1)));
        apply(store, &revision("sale", at(2)));
        assert_eq!(only(store).in_force_since, at(1));
        mark(store, CampaignMark::Removed);
        apply(store, &revision("sale", at(3)));
        assert_eq!(only(store).in_force_since, at(3));
    });
}

#[test]
fn a_removed_campaign_can_come_back() {
    on_every_store(|store| {
        apply(store, &revision("sale", at(0)));
        mark(store, CampaignMark::Rejected);
        mark(store, CampaignMark::Gone { since: at(3) });
        let removed = mark(store, CampaignMark::Removed);
        assert!(removed.removed && !removed.enabled && !removed.rejected);
        assert_eq!(removed.gone_since, None);
        apply(store, &revision("sale", at(90)));
        let back = only(store);
        assert!(back.enabled && !back.removed);
        assert_eq!(back.decided_until, at(90), "what passed while it was away is not made up for");
    });
}

#[test]
fn a_campaign_that_is_not_there_is_not_marked() {
    on_every_store(|store| {
        is_not_found(change(store, |store| store.campaign_mark(&campaign("sale"), &CampaignMark::Back)));
    });
}
