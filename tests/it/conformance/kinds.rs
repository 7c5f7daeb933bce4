//! The kinds that speak NetEase's dialects, in this process and over HTTP.

use std::{net::TcpListener, path::Path, sync::Arc};

use campaignd::{
    clock::{Clock, SystemClock},
    gateway::{
        Gateway,
        http::HTTP,
        kind::Means,
        transport::{Nowhere, Transport},
    },
    sandbox::{
        self, Options, World,
        netease::{SEND_TO_ALL, transport::InProcess},
    },
    settings,
};
use serde_json::{Value, json};

use super::{Kind, id};

fn text(mark: &str) -> Value {
    json!({"type": 0, "body": {"msg": mark}})
}

fn selected(mark: &str) -> Value {
    json!({"type": 0, "body": {"msg": mark}, "areaid": "370700"})
}

fn notification(mark: &str) -> Value {
    json!({"attach": {"event": mark}})
}

fn banner(mark: &str) -> Value {
    json!({"body": {"banner": mark}})
}

/// Opens the one gateway of these settings.
fn open(settings: &str, secret: &'static str, transport: Option<Arc<dyn Transport>>) -> Arc<dyn Gateway> {
    let text = format!("gateways: {{g: {settings}}}");
    let (settings, problems) = settings::read("s.yaml", text.as_bytes(), Path::new(""));
    assert!(problems.is_empty(), "{problems:?}");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let means = Means {
        clock,
        secret: &move |_| Ok(secret.to_owned().into()),
        transport: &move |reach| match &transport {
            Some(transport) => Ok(transport.clone()),
            None => Ok(Arc::new(HTTP::new(reach)?)),
        },
    };
    settings.unwrap().gateways["g"].open(&means).unwrap()
}

struct Shape {
    name: &'static str,
    /// Settings behind the address.
    settings: &'static str,
    is_of_an_application: bool,
    message: fn(&str) -> Value,
    unlisted: fn(&str) -> Value,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "netease, batch",
        settings: "kind: netease, defaults: {from: notice}",
        is_of_an_application: false,
        message: text,
        unlisted: banner,
    },
    Shape {
        name: "netease, single",
        settings: "kind: netease, call: single, defaults: {from: notice}",
        is_of_an_application: false,
        message: text,
        unlisted: banner,
    },
    Shape {
        name: "netease, attach",
        settings: "kind: netease, call: attach, defaults: {from: notice}",
        is_of_an_application: false,
        message: notification,
        unlisted: banner,
    },
    Shape {
        name: "netease-send-to-all",
        settings: "kind: netease-send-to-all, encoding: json, defaults: {from: notice}",
        is_of_an_application: true,
        message: text,
        unlisted: selected,
    },
];

impl Shape {
    fn settings_at(&self, url: &str) -> String {
        let path = if self.is_of_an_application { SEND_TO_ALL } else { sandbox::netease::PREFIX };
        format!("{{{}, appKey: sandbox, appSecret: {{env: S}}, url: \"{url}{path}\"}}", self.settings)
    }

    /// The kind whose requests go to this address, or by this transport.
    async fn run(&self, world: Arc<World>, url: &str, inside: bool) {
        let transport = || -> Option<Arc<dyn Transport>> {
            let base = if self.is_of_an_application { SEND_TO_ALL } else { sandbox::netease::PREFIX };
            inside.then(|| Arc::new(InProcess::at(world.clone(), base)) as Arc<dyn Transport>)
        };
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let unreachable = match inside {
            true => open(&self.settings_at(url), "sandbox", Some(Arc::new(Nowhere))),
            false => open(&self.settings_at(&format!("http://{closed}")), "sandbox", None),
        };
        let settings = self.settings_at(url);
        Kind {
            name: format!("{}{}", self.name, if inside { "" } else { ", over HTTP" }),
            gateway: open(&settings, "sandbox", transport()),
            unreachable,
            wrong: Some(open(&settings, "wrong", transport())),
            message: self.message,
            unlisted: Some(self.unlisted),
            users: vec![id("u00001"), id("u00002")],
            tells_strangers: !self.is_of_an_application,
            throttle: json!({"netease": {"codeBefore": {"code": 416, "desc": "query too fast", "times": 1}}}),
            world: Some(world.clone()),
        }
        .run()
        .await;
    }
}

fn world() -> Arc<World> {
    Arc::new(World::new(&Options::default(), Arc::new(SystemClock::new())))
}

#[tokio::test]
async fn in_process() {
    for shape in &SHAPES {
        shape.run(world(), "http://127.0.0.1:1", true).await;
    }
}

#[tokio::test]
async fn over_sockets() {
    for shape in &SHAPES {
        let world = world();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(sandbox::server::serve(world.clone(), listener, std::future::pending()));
        shape.run(world, &url, false).await;
        server.abort();
    }
}
