//! Requests to a world in this process, for a gateway that needs no sockets and for tests that hold
//! time still.

use std::sync::Arc;

use super::world::{Outcome, Request, World};
use crate::gateway::{
    Pending,
    transport::{Post, RawAnswer, Transport, TransportFault},
};

/// Carries requests to a world.
pub struct InProcess {
    world: Arc<World>,
}

impl InProcess {
    pub fn new(world: Arc<World>) -> InProcess {
        InProcess { world }
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
            match self.world.handle(request, post.body.clone().into()).await {
                Outcome::Answered(response) => Ok(RawAnswer {
                    status: response.status,
                    retry_after: response.retry_after,
                    date: None,
                    body: response.body,
                }),
                Outcome::Closed => Err(TransportFault::Lost("the sandbox closed the connection".into())),
                Outcome::Unreachable => {
                    Err(TransportFault::NeverConnected("the sandbox takes no connection".into()))
                }
            }
        })
    }
}
