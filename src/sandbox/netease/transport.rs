//! Requests to NetEase's side of a world in this process.

use std::sync::Arc;

use super::{PREFIX, Request};
use crate::{
    gateway::{
        Pending,
        transport::{Post, RawAnswer, Transport, TransportFault},
    },
    sandbox::world::{Outcome, World},
};

/// Carries requests to a world, as if its address were that of the API.
pub struct InProcess {
    world: Arc<World>,
    /// Put before each request's path.
    base: String,
}

impl InProcess {
    /// To the provider's API.
    pub fn new(world: Arc<World>) -> InProcess {
        InProcess { world, base: PREFIX.to_owned() }
    }

    /// To one path of it, which is the whole address.
    pub fn at(world: Arc<World>, path: &str) -> InProcess {
        InProcess { world, base: path.to_owned() }
    }
}

impl Transport for InProcess {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let path = format!("{}{}", self.base, post.path);
            let request = Request {
                method: "POST",
                path: &path,
                content_type: Some(post.content_type),
                app_key: post.header("AppKey"),
                nonce: post.header("Nonce"),
                cur_time: post.header("CurTime"),
                check_sum: post.header("CheckSum"),
                request_id: post.header("RequestId"),
            };
            match self.world.handle_netease(request, post.body.clone().into()).await {
                Outcome::Answered(response) => Ok(RawAnswer {
                    status: response.status,
                    retry_after: response.retry_after,
                    date: response.date,
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
