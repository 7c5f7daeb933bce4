//! The cases.

use campaignd::{
    campaign::{RecipientID, message::AddressedTo},
    clock::{Clock, SystemClock},
    gateway::{Addressees, Call, Look, Pending},
    run::{
        look::{Addressing, Evidence, Sighting, Sought},
        reply::{Cause, Reply, Verdict},
    },
};
use serde_json::json;

use super::{Kind, Outcome, all_accepted, id, mark, verdicts};
use crate::journal::TestJournal;

/// A real server stores what it accepted some time after; it is asked again so often.
const PATIENCE: usize = 200;

macro_rules! cases {
    ($($case:ident)*) => {
        pub const CASES: &[(&str, fn(&Kind) -> Pending<'_, Outcome>)] =
            &[$((stringify!($case), |kind| Box::pin($case(kind)))),*];
    };
}

cases! {
    everyone_asked_has_a_verdict_in_their_order
    whoever_is_not_registered_is_not_accepted
    a_call_that_names_nobody_is_one_delivery
    a_preview_is_the_request
    a_lost_answer_settles_nothing
    the_same_request_again_is_answered_again
    a_page_instead_of_an_answer_settles_nothing
    a_throttle_does_nothing
    a_refused_connection_does_nothing
    a_wrong_secret_does_nothing
    an_explanation_accuses_nobody_who_was_accepted
    what_was_sent_is_found
    what_was_never_sent_is_not_there
    what_is_not_named_is_looked_up_or_refused
    everyone_is_listed_or_that_is_refused
}

async fn everyone_asked_has_a_verdict_in_their_order(kind: &Kind) -> Outcome {
    let text = mark();
    let answer = kind.gateway.send(&kind.call_to(&text, kind.two())).await;
    let told: Vec<&RecipientID> = verdicts(&answer).iter().map(|(id, _)| id).collect();
    assert_eq!(told, kind.two().iter().collect::<Vec<_>>());
    assert!(all_accepted(&answer), "{answer:?}");
    let taken = kind.taken(kind.world()?, &text);
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), kind.two().iter().map(once).collect::<Vec<_>>());
    Ok(())
}

fn once(id: &RecipientID) -> (String, usize) {
    (id.as_str().to_owned(), 1)
}

async fn whoever_is_not_registered_is_not_accepted(kind: &Kind) -> Outcome {
    if !kind.tells_strangers {
        return Err("its answer speaks of nobody by name".to_owned());
    }
    let stranger = id(format!("nobody-{}", mark().replace(' ', "-")));
    let answer = kind.gateway.send(&kind.call_to(&mark(), std::slice::from_ref(&stranger))).await;
    let [(told, verdict)] = verdicts(&answer) else { panic!("{answer:?}") };
    assert!(*told == stranger && !matches!(verdict, Verdict::Accepted(_)), "{answer:?}");
    Ok(())
}

fn to_nobody(kind: &Kind, text: &str) -> Result<Call, String> {
    let message = kind.unlisted.ok_or("every call of it names somebody")?;
    let message = kind.read(message(text), AddressedTo::Unlisted);
    Ok(kind.call(message, Addressees::Unlisted(id("*"))))
}

async fn a_call_that_names_nobody_is_one_delivery(kind: &Kind) -> Outcome {
    let text = mark();
    let call = to_nobody(kind, &text)?;
    let answer = kind.gateway.send(&call).await;
    let [(told, Verdict::Accepted(_))] = verdicts(&answer) else { panic!("{answer:?}") };
    assert_eq!(told.as_str(), "*");
    assert!(!kind.taken(kind.world()?, &text).is_empty());
    Ok(())
}

async fn a_preview_is_the_request(kind: &Kind) -> Outcome {
    let call = kind.call_to("preview", kind.two());
    let preview = kind.gateway.preview(&call);
    assert_eq!(preview.method, "POST");
    let body = preview.body.to_string();
    assert!(body.contains("preview") && body.contains(kind.users[0].as_str()), "{body}");
    Ok(())
}

async fn a_lost_answer_settles_nothing(kind: &Kind) -> Outcome {
    let world = kind.fail(json!({"dropAnswer": {"times": 1}}))?;
    let text = mark();
    let answer = kind.gateway.send(&kind.call_to(&text, kind.two())).await;
    assert!(matches!(&answer.reply, Reply::Unanswered(_)), "{answer:?}");
    assert_eq!(answer.http_status, None);
    assert_eq!(kind.taken(world, &text).len(), kind.two().len(), "it was done all the same");
    Ok(())
}

async fn the_same_request_again_is_answered_again(kind: &Kind) -> Outcome {
    if kind.gateway.replays_within().is_none() {
        return Err("it says that the same request would be done again".to_owned());
    }
    assert!(kind.gateway.names_batches());
    let world = kind.fail(json!({"dropAnswer": {"times": 1}}))?;
    let text = mark();
    let call = kind.call_to(&text, kind.two());
    assert!(matches!(kind.gateway.send(&call).await.reply, Reply::Unanswered(_)));
    let answer = kind.gateway.send(&call).await;
    assert!(all_accepted(&answer), "{answer:?}");
    assert!(kind.taken(world, &text).values().all(|times| *times == 1));
    Ok(())
}

async fn a_page_instead_of_an_answer_settles_nothing(kind: &Kind) -> Outcome {
    for status in [200, 500, 502, 503, 504] {
        kind.fail(json!({"httpStatus": {"status": status, "times": 1}}))?;
        let answer = kind.gateway.send(&kind.call_to(&mark(), kind.two())).await;
        assert!(matches!(&answer.reply, Reply::Unanswered(_)), "{status}: {answer:?}");
        assert_eq!((answer.http_status, answer.provider_code), (Some(status), None));
    }
    Ok(())
}

async fn a_throttle_does_nothing(kind: &Kind) -> Outcome {
    let world = kind.fail(kind.throttle.clone())?;
    let text = mark();
    let answer = kind.gateway.send(&kind.call_to(&text, kind.two())).await;
    let Reply::NothingDone(Cause::Throttled { retry_after: Some(asked) }, _) = answer.reply else {
        panic!("{answer:?}")
    };
    assert!(asked.is_positive());
    assert!(kind.taken(world, &text).is_empty());
    assert!(all_accepted(&kind.gateway.send(&kind.call_to(&text, kind.two())).await));
    Ok(())
}

async fn a_refused_connection_does_nothing(kind: &Kind) -> Outcome {
    let answer = kind.unreachable.send(&kind.call_to(&mark(), kind.two())).await;
    assert!(matches!(answer.reply, Reply::NothingDone(Cause::Unreachable, _)), "{answer:?}");
    assert_eq!(answer.http_status, None);
    Ok(())
}

async fn a_wrong_secret_does_nothing(kind: &Kind) -> Outcome {
    let wrong = kind.wrong.as_ref().ok_or("a real server might lock the account")?;
    let text = mark();
    let answer = wrong.send(&kind.call_to(&text, kind.two())).await;
    assert!(matches!(answer.reply, Reply::NothingDone(Cause::Outage, _)), "{answer:?}");
    assert!(kind.taken(kind.world()?, &text).is_empty());
    Ok(())
}

async fn an_explanation_accuses_nobody_who_was_accepted(kind: &Kind) -> Outcome {
    let journal = TestJournal::default();
    let message = kind.call_to(&mark(), kind.two()).message;
    assert_eq!(kind.gateway.explain(&message, kind.two(), &journal).await, Ok(Vec::new()));
    journal.assert_complete();
    Ok(())
}

fn look_for(call: &Call) -> Look {
    let now = SystemClock::new().now();
    let sought = call.to.recipients().iter().map(|recipient| Sought {
        recipient: recipient.clone(),
        message: call.message.clone(),
        send_time_ms: call.send_time_ms,
        operation_id: call.operation_id.clone(),
        asked_at: now,
        asked_last_at: now,
        seen_until: None,
    });
    Look {
        message: call.message.clone(),
        addressing: call.to.addressing(),
        counts: Evidence::Stored,
        sought: sought.collect(),
    }
}

/// The first look that finds everything, or the last.
async fn look(kind: &Kind, look: &Look) -> Vec<Sighting> {
    for tried in 1.. {
        let journal = TestJournal::default();
        let seen = kind.gateway.look(look, &journal).await.unwrap();
        journal.assert_complete();
        assert!(journal.requests() > 0 && seen.len() == look.sought.len());
        let found = seen.iter().all(|sighting| matches!(sighting, Sighting::Found(_)));
        if found || tried >= PATIENCE || kind.world.is_some() {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Vec::new()
}

/// Whether a call can be looked up; where it cannot, looking is refused with the same words.
async fn can_be_asked(kind: &Kind, call: &Call) -> Outcome {
    let addressing = call.to.addressing();
    let Err(reason) = kind.gateway.can_be_asked(&call.message, addressing) else { return Ok(()) };
    assert!(!reason.text.is_empty());
    let journal = TestJournal::default();
    let fault = kind.gateway.look(&look_for(call), &journal).await.unwrap_err();
    assert_eq!((fault.0, journal.requests()), (reason.clone(), 0));
    Err(reason.text)
}

async fn what_was_sent_is_found(kind: &Kind) -> Outcome {
    let call = kind.call_to(&mark(), kind.two());
    can_be_asked(kind, &call).await?;
    let answer = kind.gateway.send(&call).await;
    let seen = look(kind, &look_for(&call)).await;
    for ((_, verdict), sighting) in verdicts(&answer).iter().zip(&seen) {
        let (Verdict::Accepted(receipt), Sighting::Found(found)) = (verdict, sighting) else {
            panic!("{verdict:?} {sighting:?}")
        };
        // Not every call tells an id of its message.
        assert!(receipt.server_msg_id.is_none() || receipt.server_msg_id == found.server_msg_id);
    }
    Ok(())
}

async fn what_was_never_sent_is_not_there(kind: &Kind) -> Outcome {
    let call = kind.call_to(&mark(), kind.two());
    can_be_asked(kind, &call).await?;
    // Somebody else's message lies there, so that there is a conversation.
    assert!(all_accepted(&kind.gateway.send(&call).await));
    look(kind, &look_for(&call)).await;
    let never = kind.call_to(&mark(), kind.two());
    let seen = kind.gateway.look(&look_for(&never), &TestJournal::default()).await.unwrap();
    // A kind that cannot tell its own messages apart says nothing; none says that it is there.
    let says_nothing =
        |sighting: &Sighting| matches!(sighting, Sighting::Nothing { .. } | Sighting::NoAnswer(_));
    assert!(seen.iter().all(says_nothing), "{seen:?}");
    Ok(())
}

async fn what_is_not_named_is_looked_up_or_refused(kind: &Kind) -> Outcome {
    let call = to_nobody(kind, &mark())?;
    can_be_asked(kind, &call).await?;
    assert_eq!(call.to.addressing(), Addressing::Unlisted);
    let nothing = look(kind, &look_for(&call)).await;
    assert!(!matches!(nothing[..], [Sighting::Found(_)]), "{nothing:?}");
    assert!(all_accepted(&kind.gateway.send(&call).await));
    let found = look(kind, &look_for(&call)).await;
    assert!(matches!(found[..], [Sighting::Found(_)]), "{found:?}");
    Ok(())
}

async fn everyone_is_listed_or_that_is_refused(kind: &Kind) -> Outcome {
    let message = kind.call_to(&mark(), kind.two()).message;
    let page = kind.gateway.users(&message, 1).await;
    if kind.gateway.dialect().lists_everyone() {
        assert!(page.unwrap().listed > 0);
        return Ok(());
    }
    let fault = page.unwrap_err();
    assert!(!fault.0.text.is_empty());
    Err(fault.0.text)
}
