//! Campaigns: revisions that take force, and what else is noted about a campaign.

use std::collections::HashMap;

use campaignd::store::{CampaignMark, CampaignRecord, NewRevision, Store};
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
            held: false,
            paused: None,
            decided_until: at(7),
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
        let marked =
            |rejected, gone_since, held| CampaignRecord { rejected, gone_since, held, ..moved.clone() };
        assert_eq!(mark(store, CampaignMark::Rejected), marked(true, None, false));
        assert_eq!(mark(store, CampaignMark::Accepted), marked(false, None, false));
        assert_eq!(mark(store, CampaignMark::Gone { since: at(3) }), marked(false, Some(at(3)), false));
        assert_eq!(mark(store, CampaignMark::Held), marked(false, None, true));
        assert_eq!(mark(store, CampaignMark::Gone { since: at(4) }), marked(false, Some(at(4)), false));
        assert_eq!(mark(store, CampaignMark::Back), marked(false, None, false));
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
