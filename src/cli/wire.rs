//! From settings to working parts.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;

use crate::{
    campaign::Dialect,
    clock::Clock,
    daemon::{Post, Posts},
    gateway::{
        Gateway,
        openim::{Account, OpenIM, dialect::OpenIMDialect},
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
    match settings {
        GatewaySettings::OpenIM(openim) => {
            let account = Account {
                url: openim.url.clone(),
                admin_user_id: openim.admin_user_id.clone(),
                secret: openim.secret.resolve()?,
                defaults: openim.defaults.clone(),
                concurrency: openim.concurrency,
                batch_size: openim.batch_size,
                timeout: openim.timeout,
            };
            let ca_pem = openim
                .ca_file
                .as_ref()
                .map(|path| {
                    std::fs::read(path).with_context(|| format!("cannot read caFile {}", path.display()))
                })
                .transpose()?;
            let gateway = OpenIM::over_http(account, ca_pem, openim.proxy.clone(), clock)?;
            Ok(Post { gateway: Arc::new(gateway), limits: openim.limits.clone() })
        }
        GatewaySettings::Sandbox(settings) => {
            let options = Options { seed: 1, users: SANDBOX_USERS, groups: 10, open: true };
            let world = Arc::new(World::new(&options, Arc::clone(&clock)));
            let account = Account {
                defaults: settings.defaults.clone(),
                concurrency: settings.concurrency,
                batch_size: settings.batch_size,
                ..sandbox::account()
            };
            let gateway: Arc<dyn Gateway> = Arc::new(sandbox::gateway(world, account, clock));
            Ok(Post { gateway, limits: settings.limits.clone() })
        }
    }
}

/// What the gateways of the settings know of messages: all that checking files needs.
pub fn dialects(settings: &Settings) -> BTreeMap<String, Box<dyn Dialect>> {
    let dialect = |gateway: &GatewaySettings| -> Box<dyn Dialect> {
        let (defaults, batch_size, concurrency) = match gateway {
            GatewaySettings::OpenIM(openim) => (&openim.defaults, openim.batch_size, openim.concurrency),
            GatewaySettings::Sandbox(sandbox) => (&sandbox.defaults, sandbox.batch_size, sandbox.concurrency),
        };
        Box::new(OpenIMDialect::new(defaults.clone(), batch_size, concurrency))
    };
    settings.gateways.iter().map(|(name, gateway)| (name.clone(), dialect(gateway))).collect()
}
