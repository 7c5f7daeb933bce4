//! From settings to working parts.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;

use crate::{
    clock::Clock,
    daemon::{Post, Posts},
    gateway::{
        Gateway,
        openim::{Account, OpenIM},
    },
    sandbox::{
        self,
        world::{Options, World},
    },
    settings::{GatewaySettings, Settings},
};

/// Registered users of the in-process sandbox; it takes any other id as registered too.
const SANDBOX_USERS: u32 = 1_000;

/// The gateways of the settings, with their secrets fetched.
pub fn posts(settings: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Posts> {
    let mut posts = BTreeMap::new();
    for (name, gateway) in &settings.gateways {
        let post = post(gateway, clock).with_context(|| format!("the gateway {name:?} cannot be used"))?;
        posts.insert(name.clone(), post);
    }
    Ok(Posts(posts))
}

fn post(settings: &GatewaySettings, clock: &Arc<dyn Clock>) -> anyhow::Result<Post> {
    let clock = Arc::clone(clock);
    let gateway: Arc<dyn Gateway> = match settings {
        GatewaySettings::OpenIM(openim) => {
            let ca_pem = openim
                .ca_file
                .as_ref()
                .map(|path| {
                    std::fs::read(path).with_context(|| format!("cannot read caFile {}", path.display()))
                })
                .transpose()?;
            Arc::new(OpenIM::over_http(openim.account()?, ca_pem, openim.proxy.clone(), clock)?)
        }
        GatewaySettings::Sandbox(sandbox) => {
            let options = Options { seed: 1, users: SANDBOX_USERS, groups: 10, open: true };
            let world = Arc::new(World::new(&options, Arc::clone(&clock)));
            let account = Account {
                defaults: sandbox.figures.defaults.clone(),
                concurrency: sandbox.figures.concurrency,
                batch_size: sandbox.figures.batch_size,
                ..sandbox::account()
            };
            Arc::new(sandbox::gateway(world, account, clock))
        }
    };
    Ok(Post { gateway, limits: settings.limits().clone() })
}
