//! Requests to NetEase's side of a world in this process.

use std::{sync::Arc, time::Duration};

use super::{PREFIX, Request};
use crate::{
    gateway::{
        Pending,
        transport::{Post, RawAnswer, Transport, TransportFault},
    },
    sandbox::{
        transport::{PATIENCE, carried},
        world::World,
    },
};

/// Carries requests to a world, as if its address were that of the API.
pub struct InProcess {
    world: Arc<World>,
    /// Put before each request's path.
    base: String,
    /// How long an answer is waited for.
    timeout: Duration,
}

impl InProcess {
    /// To the provider's API.
    pub fn new(world: Arc<World>) -> InProcess {
        InProcess { world, base: PREFIX.to_owned(), timeout: PATIENCE }
    }

    /// The same, that waits so long for an answer.
    pub fn waiting(self, timeout: Duration) -> InProcess {
        InProcess { timeout, ..self }
    }

    /// To one path of it, which is the whole address.
    pub fn at(world: Arc<World>, path: &str) -> InProcess {
        InProcess { world, base: path.to_owned(), timeout: PATIENCE }
    }
}

impl Transport for InProcess {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let path = format!("{}{}", self.base, post.path);
            let header = |name: &str| post.header(name).map(str::to_owned);
            let request = Request {
                method: "POST".to_owned(),
                path,
                content_type: Some(post.content_type.to_owned()),
                app_key: header("AppKey"),
                nonce: header("Nonce"),
                cur_time: header("CurTime"),
                check_sum: header("CheckSum"),
                request_id: header("RequestId"),
            };
            carried(self.timeout, self.world.handle_netease(request, post.body.clone().into())).await
        })
    }
}
