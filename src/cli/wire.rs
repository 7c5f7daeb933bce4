//! From settings to working parts.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;

use crate::{
    clock::Clock,
    daemon::{Post, Posts},
    gateway::{
        Gateway, Pending,
        openim::{
            Account, OpenIM,
            transport::{Headers, RawAnswer, Transport, TransportFault},
        },
    },
    sandbox::{
        self,
        world::{Options, World},
    },
    settings::{GatewaySettings, SandboxSettings, Settings},
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
            Arc::new(sandbox::gateway(world, sandbox_account(sandbox), clock))
        }
    };
    Ok(Post { gateway, limits: settings.limits().clone() })
}

fn sandbox_account(settings: &SandboxSettings) -> Account {
    Account {
        defaults: settings.figures.defaults.clone(),
        concurrency: settings.figures.concurrency,
        batch_size: settings.figures.batch_size,
        ..sandbox::account()
    }
}

/// A gateway that shows its requests and can make none: it has no secret and no connection.
pub fn silent(settings: &GatewaySettings, clock: Arc<dyn Clock>) -> Arc<dyn Gateway> {
    match settings {
        GatewaySettings::OpenIM(openim) => {
            let account = openim.account_with(String::new().into());
            Arc::new(OpenIM::new(account, Arc::new(Nowhere), clock))
        }
        GatewaySettings::Sandbox(sandbox) => {
            Arc::new(OpenIM::new(sandbox_account(sandbox), Arc::new(Nowhere), clock).delivering_nowhere())
        }
    }
}

/// Carries nothing.
struct Nowhere;

impl Transport for Nowhere {
    fn post<'a>(
        &'a self,
        _path: &'a str,
        _headers: Headers<'a>,
        _body: Vec<u8>,
    ) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async { Err(TransportFault::NeverConnected("nothing is asked here".to_owned())) })
    }
}
