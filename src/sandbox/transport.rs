//! Requests to a world in this process, for a gateway that needs no sockets and for tests that hold
//! time still.

use std::{sync::Arc, time::Duration};

use super::{
    answer::Response,
    world::{Outcome, Request, World},
};
use crate::gateway::{
    Pending,
    transport::{Post, RawAnswer, Transport, TransportFault},
};

/// The longest wait for an answer where nothing else is said.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Carries requests to a world.
pub struct InProcess {
    world: Arc<World>,
    timeout: Duration,
}

impl InProcess {
    pub fn new(world: Arc<World>) -> InProcess {
        InProcess { world, timeout: PATIENCE }
    }

    /// The same, that waits so long for an answer.
    pub fn waiting(self, timeout: Duration) -> InProcess {
        InProcess { timeout, ..self }
    }
}

impl Transport for InProcess {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let request = Request {
                path: post.path,
                operation_id: post.header("operationID"),
                token: post.header("token"),
            };
            carried(self.timeout, self.world.handle(request, post.body.clone().into())).await
        })
    }
}

/// What reaches a client that waits so long.
pub(super) async fn carried(
    timeout: Duration,
    outcome: impl Future<Output = Outcome>,
) -> Result<RawAnswer, TransportFault> {
    let answer = async {
        let outcome = outcome.await;
        if let Outcome::Answered(response) = &outcome {
            tokio::time::sleep(response.duration()).await;
        }
        outcome
    };
    let Ok(outcome) = tokio::time::timeout(timeout, answer).await else {
        return Err(TransportFault::TimedOut("the sandbox does not answer".into()));
    };
    match outcome {
        Outcome::Answered(Response { status, retry_after, date, body, .. }) => {
            Ok(RawAnswer { status, retry_after, date, body })
        }
        Outcome::Closed => Err(TransportFault::Lost("the sandbox closed the connection".into())),
        Outcome::Unreachable => Err(TransportFault::NeverConnected("the sandbox takes no connection".into())),
    }
}
