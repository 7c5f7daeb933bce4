//! From settings to working parts.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;

use crate::{
    clock::Clock,
    daemon::{Post, Posts},
    gateway::{
        Gateway,
        http::HTTP,
        kind::{CannotOpen, GatewaySettings, Means},
        transport::{Nowhere, Transport},
    },
    settings::{self, Settings},
};

/// The gateways of the settings, with their secrets fetched.
pub fn posts(settings: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Posts> {
    let means = Means {
        clock: Arc::clone(clock),
        secret: &|source| Ok(settings::fetch(source)?),
        transport: &|reach| Ok(Arc::new(HTTP::new(reach)?) as Arc<dyn Transport>),
    };
    let mut posts = BTreeMap::new();
    for (name, gateway) in &settings.gateways {
        let opened = gateway.open(&means).with_context(|| format!("the gateway {name:?} cannot be used"))?;
        let figures = gateway.figures();
        let post = Post {
            gateway: opened,
            limits: figures.limits.clone(),
            settle: figures.settle,
            probe: figures.probe.clone(),
        };
        posts.insert(name.clone(), post);
    }
    Ok(Posts(posts))
}

/// A gateway that shows its requests and can make none: it has no secret and no connection.
pub fn silent(settings: &dyn GatewaySettings, clock: Arc<dyn Clock>) -> Result<Arc<dyn Gateway>, CannotOpen> {
    settings.open(&Means {
        clock,
        secret: &|_| Ok(String::new().into()),
        transport: &|_| Ok(Arc::new(Nowhere)),
    })
}
