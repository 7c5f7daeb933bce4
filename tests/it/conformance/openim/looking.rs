//! Looking up what was sent: what is there is found, what is not is proven or left open.

use std::time::Duration;

use campaignd::{
    campaign::{Message, RecipientID},
    clock::{Clock, SystemClock},
    gateway::{Addressees, Addressing, Call, Gateway, Look},
    run::{
        look::{Evidence, Sighting, Sought},
        reply::Verdict,
    },
    sandbox::Faults,
};
use serde_json::{Value, json};

use super::{Outcome, Provider, as_admin, id, nobody, verdicts};
use crate::journal::TestJournal;

/// A real server stores what it accepted some time after; it is asked again so often.
const PATIENCE: usize = 200;

impl Provider {
    /// A call with a send time of its own.
    fn stamped(&self, call: Call) -> Call {
        let number = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as i64;
        let now = SystemClock::new().now().as_millisecond();
        Call { send_time_ms: Some(now + number), ..call }
    }

    fn message_of(&self, changes: Value) -> Message {
        let mut message = self.text();
        message.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let call = self.call(message, Addressees::Users(self.two().to_vec()));
        Message(call.message.0.clone())
    }
}

/// What a look for everyone whom the call was for is for.
fn look_for(call: &Call) -> Look {
    let sought = |recipient: &RecipientID| Sought {
        recipient: recipient.clone(),
        message: call.message.clone(),
        send_time_ms: call.send_time_ms,
        operation_id: call.operation_id.clone(),
        asked_at: SystemClock::new().now(),
        asked_last_at: SystemClock::new().now(),
        seen_until: None,
    };
    Look {
        message: call.message.clone(),
        addressing: call.to.addressing(),
        counts: Evidence::Taken,
        sought: call.to.recipients().iter().map(sought).collect(),
    }
}

/// What one look sees, and how many requests it took.
async fn see(provider: &Provider, look: &Look) -> (Vec<Sighting>, usize) {
    let journal = TestJournal::default();
    let seen = provider.gateway.look(look, &journal).await.unwrap();
    journal.assert_complete();
    assert_eq!(seen.len(), look.sought.len());
    (seen, journal.requests())
}

/// Looks until everything is found.
async fn find(provider: &Provider, look: &Look) -> (Vec<Sighting>, usize) {
    for _ in 0..PATIENCE {
        let (seen, requests) = see(provider, look).await;
        if seen.iter().all(|sighting| matches!(sighting, Sighting::Found(_))) {
            return (seen, requests);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{}: not found: {:?}", provider.name, see(provider, look).await.0);
}

fn words(seen: &[Sighting]) -> Vec<String> {
    let word = |sighting: &Sighting| match sighting {
        Sighting::Found(_) => "found".to_owned(),
        Sighting::Nothing { .. } => "nothing".to_owned(),
        Sighting::NoAnswer(reason) => format!("no answer: {}", reason.code),
        Sighting::Contradiction(reason) => format!("contradiction: {}", reason.code),
    };
    seen.iter().map(word).collect()
}

/// Sends, and gives the ids that the answer names.
async fn send(provider: &Provider, call: &Call) -> Vec<Option<String>> {
    let answer = provider.gateway.send(call).await;
    let id = |(id, verdict): &(RecipientID, Verdict)| match verdict {
        Verdict::Accepted(receipt) => receipt.server_msg_id.clone(),
        other => panic!("{id}: {other:?}"),
    };
    verdicts(&answer).iter().map(id).collect()
}

pub async fn what_was_sent_is_found_in_two_requests(provider: &Provider) -> Outcome {
    let call = provider.stamped(provider.text_to(provider.two()));
    let ids = send(provider, &call).await;
    let (seen, requests) = find(provider, &look_for(&call)).await;
    assert_eq!(requests, 2);
    for (sighting, id) in seen.iter().zip(ids) {
        let Sighting::Found(receipt) = sighting else { panic!("{sighting:?}") };
        assert_eq!((&receipt.server_msg_id, receipt.send_time_ms), (&id, call.send_time_ms));
    }
    Ok(())
}

pub async fn what_was_never_sent_is_proven_to_be_absent(provider: &Provider) -> Outcome {
    let sent = provider.stamped(provider.text_to(provider.two()));
    send(provider, &sent).await;
    find(provider, &look_for(&sent)).await;
    // Read through, and read on from there.
    let mut look = look_for(&provider.stamped(provider.text_to(provider.two())));
    let seen = see(provider, &look).await.0;
    for (sought, sighting) in look.sought.iter_mut().zip(&seen) {
        let Sighting::Nothing { seen_until } = sighting else { panic!("{sighting:?}") };
        assert!(*seen_until > 0);
        sought.seen_until = Some(*seen_until);
    }
    assert_eq!(see(provider, &look).await, (seen, 1), "nothing new to be read");
    // What is beyond the end of a conversation was never there: the server is not what it was.
    look.sought.iter_mut().for_each(|sought| sought.seen_until = sought.seen_until.map(|until| until + 1));
    assert_eq!(words(&see(provider, &look).await.0), ["contradiction: placesWentBack"; 2]);
    Ok(())
}

pub async fn a_conversation_that_never_was_has_nothing(provider: &Provider) -> Outcome {
    let asked = [nobody(provider), provider.users[0].clone()];
    let call = provider.stamped(provider.text_to(&asked));
    verdicts(&provider.gateway.send(&call).await);
    let mut look = look_for(&call);
    look.sought.truncate(1);
    let (seen, requests) = see(provider, &look).await;
    assert_eq!((seen, requests), (vec![Sighting::Nothing { seen_until: 0 }], 1));
    Ok(())
}

pub async fn a_notification_is_found_by_its_recipients(provider: &Provider) -> Outcome {
    let content = json!({"notificationName": "N", "notificationType": 1, "text": "conformance"});
    let message = json!({"sendID": provider.notifier, "contentType": "oa", "content": content});
    let call = provider.stamped(provider.call(message, Addressees::Users(provider.two().to_vec())));
    let ids = send(provider, &call).await;
    let (seen, requests) = find(provider, &look_for(&call)).await;
    assert_eq!(requests, 3, "one for all, and one for each");
    for (sighting, id) in seen.iter().zip(ids) {
        assert!(matches!(sighting, Sighting::Found(receipt) if receipt.server_msg_id == id), "{sighting:?}");
    }
    Ok(())
}

pub async fn a_group_message_is_found_by_its_record_or_by_a_member(provider: &Provider) -> Outcome {
    let group = provider.group.clone().ok_or("no group is named")?;
    let call = provider.stamped(provider.call(provider.text(), Addressees::Group(group)));
    let ids = send(provider, &call).await;
    let mut look = look_for(&call);
    assert_eq!(find(provider, &look).await.1, 1, "the record");
    look.sought[0].operation_id = "another".to_owned();
    let (seen, requests) = find(provider, &look).await;
    assert_eq!(requests, 4, "the record, the place, the members, the messages");
    assert!(matches!(&seen[0], Sighting::Found(receipt) if receipt.server_msg_id == ids[0]), "{seen:?}");
    // A record is no proof that it is stored.
    let stored = Look { counts: Evidence::Stored, ..look_for(&call) };
    let (seen, requests) = find(provider, &stored).await;
    assert_eq!(requests, 3, "the place, the members, the messages");
    assert!(matches!(&seen[0], Sighting::Found(receipt) if receipt.server_msg_id == ids[0]), "{seen:?}");
    Ok(())
}

pub async fn a_single_message_is_found_by_its_record(provider: &Provider) -> Outcome {
    let call = provider.stamped(provider.call(provider.text(), Addressees::User(provider.users[0].clone())));
    send(provider, &call).await;
    let (seen, requests) = see(provider, &look_for(&call)).await;
    assert_eq!((words(&seen), requests), (vec!["found".to_owned()], 2), "the record, and what they want");
    // A batch leaves no record.
    let batch = provider.stamped(provider.text_to(provider.two()));
    send(provider, &batch).await;
    let look = Look { addressing: Addressing::User, ..look_for(&batch) };
    assert_eq!(find(provider, &look).await.1, 2 + 2, "a record for each, then as ever");
    Ok(())
}

pub async fn what_has_no_time_of_ours_cannot_be_asked(provider: &Provider) -> Outcome {
    for (changes, code) in [
        (json!({}), None),
        (json!({"isOnlineOnly": true}), Some("onlineOnly")),
        (json!({"sendTime": 1_700_000_000_456_i64}), Some("ownSendTime")),
    ] {
        let message = provider.message_of(changes);
        let asked = provider.gateway.can_be_asked(&message, Addressing::Users);
        assert_eq!(asked.err().map(|reason| reason.code).as_deref(), code);
    }
    Ok(())
}

pub async fn what_is_late_is_nothing_yet(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    world.set_faults(Faults { store_late_ms: 400, ..Faults::default() });
    let call = provider.stamped(provider.text_to(provider.two()));
    send(provider, &call).await;
    assert_eq!(words(&see(provider, &look_for(&call)).await.0), ["nothing"; 2]);
    find(provider, &look_for(&call)).await;
    Ok(())
}

pub async fn a_record_is_there_before_the_message_is(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    world.set_faults(Faults { store_late_ms: 60_000, ..Faults::default() });
    let call = provider.stamped(provider.call(provider.text(), Addressees::User(id("u00905"))));
    send(provider, &call).await;
    let stored = Look { counts: Evidence::Stored, ..look_for(&call) };
    assert_eq!(words(&see(provider, &look_for(&call)).await.0), ["found"]);
    assert_eq!(words(&see(provider, &stored).await.0), ["nothing"]);
    world.set_faults(Faults { lose_waiting: true, ..Faults::default() });
    Ok(())
}

pub async fn what_was_accepted_and_lost_is_absent(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    world.set_faults(Faults { lose_every: 1, ..Faults::default() });
    let call = provider.stamped(provider.text_to(provider.two()));
    send(provider, &call).await;
    world.set_faults(Faults::default());
    assert_eq!(words(&see(provider, &look_for(&call)).await.0), ["nothing"; 2]);
    Ok(())
}

pub async fn what_failed_and_was_stored_is_found(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    world.set_faults(Faults { fail_stored_every: 1, ..Faults::default() });
    let call = provider.stamped(provider.text_to(provider.two()));
    let answer = provider.gateway.send(&call).await;
    assert!(super::words(&answer).iter().all(|(_, word)| *word == "failedWithoutReason"), "{answer:?}");
    find(provider, &look_for(&call)).await;
    Ok(())
}

pub async fn what_is_stored_again_or_taken_back_is_one_message(provider: &Provider) -> Outcome {
    let world = provider.world.as_ref().ok_or("only the sandbox does this on demand")?;
    let newcomers = [id("u00903"), id("u00904")];
    let call = provider.stamped(provider.text_to(&newcomers));
    let ids = send(provider, &call).await;
    world.set_faults(Faults { store_again: 2, ..Faults::default() });
    let seen = see(provider, &look_for(&call)).await.0;
    for (sighting, id) in seen.iter().zip(ids) {
        assert!(matches!(sighting, Sighting::Found(receipt) if receipt.server_msg_id == id), "{sighting:?}");
    }
    for seq in [1, 2] {
        let conversation = format!("si_{}_u00903", provider.notifier);
        let revoke = json!({"conversationID": conversation, "seq": seq, "userID": provider.notifier});
        as_admin(world, "/msg/revoke_msg", revoke.to_string()).await;
    }
    find(provider, &look_for(&call)).await;
    Ok(())
}

pub async fn what_an_answer_leaves_out_is_left_open(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    send(provider, &provider.stamped(provider.text_to(provider.two()))).await;
    let absent = provider.stamped(provider.text_to(provider.two()));
    for (faults, expected) in [
        (Faults { omit_messages_every: 2, ..Faults::default() }, "no answer: placesMissing"),
        (Faults { omit_conversations_every: 1, ..Faults::default() }, "no answer: conversationMissing"),
    ] {
        world.set_faults(faults);
        assert_eq!(words(&see(provider, &look_for(&absent)).await.0), [expected; 2]);
    }
    Ok(())
}

pub async fn a_restored_backup_is_noticed(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    let newcomer = [id("u00901"), id("u00902")];
    send(provider, &provider.stamped(provider.text_to(&newcomer))).await;
    let mut look = look_for(&provider.stamped(provider.text_to(&newcomer)));
    look.sought.iter_mut().for_each(|sought| sought.seen_until = Some(1));
    assert_eq!(words(&see(provider, &look).await.0), ["nothing"; 2]);
    world.set_faults(Faults { restore_backup_of_ms_ago: Some(3_600_000), ..Faults::default() });
    assert_eq!(words(&see(provider, &look).await.0), ["contradiction: placesWentBack"; 2]);
    Ok(())
}

pub async fn an_outage_while_looking_is_a_fault(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    let call = provider.stamped(provider.text_to(provider.two()));
    send(provider, &call).await;
    world.set_faults(serde_json::from_value(json!({"messageServiceDown": {"times": 1}})).unwrap());
    let journal = TestJournal::default();
    let fault = provider.gateway.look(&look_for(&call), &journal).await.unwrap_err();
    journal.assert_complete();
    assert!(["14", "500"].contains(&fault.0.code.as_str()), "{fault}");
    // A token that was refused is fetched anew, and the request made again.
    world.set_faults(Faults { expire_tokens: true, ..Faults::default() });
    let (seen, requests) = see(provider, &look_for(&call)).await;
    assert_eq!((words(&seen), requests), (vec!["found".to_owned(); 2], 3));
    Ok(())
}

pub async fn five_hundred_recipients_take_three_requests_at_most(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    let users: Vec<RecipientID> = (101..=600).map(|number| id(format!("u{number:05}"))).collect();
    // Conversations with a past, and without one.
    for _ in 0..20 {
        send(provider, &provider.stamped(provider.text_to(&users[..250]))).await;
    }
    world.set_faults(Faults { lose_every: 5, ..Faults::default() });
    let call = provider.stamped(provider.text_to(&users));
    send(provider, &call).await;
    world.set_faults(Faults::default());
    let (seen, requests) = see(provider, &look_for(&call)).await;
    let count = |expected: &str| words(&seen).iter().filter(|word| *word == expected).count();
    assert_eq!((count("found"), count("nothing")), (400, 100));
    assert!(requests <= 3, "{requests} requests");
    Ok(())
}
