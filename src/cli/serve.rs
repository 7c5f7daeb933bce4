//! `campaignd serve`: the daemon, wired to the world.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use super::{Ended, Exit, wire};
use crate::{
    clock::{Clock, SystemClock},
    daemon::{self, Parts, Posts, ServeError, Signals, housekeeping},
    folder::{DiskFolder, FolderWatch},
    review,
    revision::Guard,
    settings::{self, Loaded, Origin, Settings},
    store::{Ledger, owner::Owner, sqlite::SqliteStore},
};

/// Watch the campaigns folder, send what is due, record every outcome.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM stops after what is in flight has been answered; SIGHUP reads the settings and the folder again.\n\
    Examples:\n  campaignd serve\n  campaignd --config /etc/campaignd/campaignd.yaml serve --log json"
)]
pub struct ServeArgs {
    /// How log lines are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
    /// What is logged: error, warn, info, debug, or by module (`info,campaignd::gateway=debug`)
    #[arg(long, value_name = "FILTER", default_value = "info,tokio_cron_scheduler=warn")]
    log_level: EnvFilter,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// How often it is seen to that the folder that is there is the one that is watched.
const WATCH_AGAIN: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: &ServeArgs, loaded: Loaded) -> Ended {
    log_to_stderr(args);
    // From the first moment on: a signal that comes while the ledger is opened is obeyed right after.
    let interrupted = interrupted();
    let Loaded { settings, origin, .. } = loaded;
    tell_origin(&origin, &settings);
    let clock = clock();
    // With the host, since the ledger may stand on a disk that several hosts see.
    let (process, person) = (std::process::id(), settings::who());
    let who = format!("process {process} of {person} since {}", clock.now().strftime("%F %T UTC"));
    let _owner = Owner::take(&settings.database, &who)?;
    let store =
        SqliteStore::open(&settings.database, clock.now())?.checkpointed_beside(&settings.database)?;
    let ledger = Ledger::threaded(Box::new(store)).context("the ledger's writer cannot be started")?;
    let gateways = wire::posts(&settings, &clock)?;
    let sandboxes = sandboxes(&gateways);
    let signals = Arc::new(Signals::default());
    signals.guard.send_replace(settings.guard);
    let parts = Parts {
        clock,
        ledger: ledger.clone(),
        folder: Arc::new(DiskFolder::new(&settings.campaigns)),
        gateways,
        default_zone: settings.zone.clone(),
        default_gateway: settings.default_gateway.clone(),
        crowd: daemon::CROWD,
        spill_folder: beside(&settings.database).to_owned(),
        signals: Arc::clone(&signals),
    };
    let listener = match settings.listen {
        Some(address) => {
            Some(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?)
        }
        None => None,
    };
    let watch = watch(&settings.campaigns, &signals);
    let watching = tokio::spawn(watch_what_is_there(watch, Arc::clone(&signals)));
    let _housekeeping = housekeeping::start(&signals).await.context("the housekeeping cannot be started")?;
    let review = listener.map(|listener| tokio::spawn(review::serve(listener, Arc::clone(&signals))));
    let hangup = signal(SignalKind::hangup())?;
    tokio::spawn(obey_signals(Arc::clone(&signals), interrupted, hangup, origin, settings.clone()));
    tokio::spawn(tell_ready(Arc::clone(&signals), sandboxes, settings.clone()));
    tokio::spawn(keep_watchdog_quiet(Arc::clone(&signals)));
    // Beside the timers that wake it, so that an idle daemon wakes one thread and not two.
    let serving = tokio::spawn(daemon::serve(parts)).await.context("the daemon has failed")?;
    // What went wrong with the ledger says how the program ends.
    serving.map_err(|error| match error {
        ServeError::Ledger(error) => anyhow::Error::from(error),
        failed @ ServeError::Part(_) => failed.into(),
    })?;
    watching.abort();
    ledger.close().await;
    if let Some(review) = review {
        review.abort();
    }
    eprintln!("campaignd: stopped");
    Ok(Exit::Good)
}

/// The computer's clock.
fn clock() -> Arc<dyn Clock> {
    let clock = SystemClock::new();
    #[cfg(debug_assertions)]
    if let Some(error) = settings::clock_error() {
        tracing::warn!("a test misleads the clock by {}", error.display());
        return Arc::new(crate::clock::MisledClock { clock, error });
    }
    Arc::new(clock)
}

fn log_to_stderr(args: &ServeArgs) {
    let under_systemd = crate::settings::logs_to_journal();
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(args.log_level.clone())
        .with_target(false);
    match args.log {
        LogFormat::Json => lines.json().init(),
        // The journal has times of its own.
        LogFormat::Text if under_systemd => lines.without_time().with_ansi(false).init(),
        LogFormat::Text => {
            lines.with_ansi(std::io::stderr().is_terminal() && !crate::settings::no_colour()).init()
        }
    }
}

fn tell_origin(origin: &Origin, settings: &Settings) {
    match origin {
        Origin::File(path) => tracing::info!("settings of {}", path.display()),
        Origin::BuiltIn => tracing::info!(
            "no settings file: campaigns of {}, ledger {}, gateway `sandbox`, time zone UTC",
            settings.campaigns.display(),
            settings.database.display()
        ),
    }
}

/// The names of the gateways that deliver nowhere.
fn sandboxes(gateways: &Posts) -> Vec<String> {
    let nowhere = gateways.0.iter().filter(|(_, post)| !post.gateway.delivers());
    nowhere.map(|(name, _)| name.clone()).collect()
}

fn beside(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Watches the folder; without a watch the rescans alone find changes.
fn watch(root: &Path, signals: &Arc<Signals>) -> FolderWatch {
    let woken = Arc::clone(signals);
    let wake = move |is_written| {
        woken.folder_is_written.store(is_written, Ordering::Relaxed);
        woken.folder.notify_one();
    };
    let mut watch = FolderWatch::new(root, Arc::new(wake));
    if let Err(error) = watch.renew() {
        tracing::warn!("{} is not watched, only read again: {error}", root.display());
    }
    watch
}

/// Watches another folder in the place of the one that is watched.
async fn watch_what_is_there(mut watch: FolderWatch, signals: Arc<Signals>) {
    loop {
        tokio::time::sleep(WATCH_AGAIN).await;
        // What was missed meanwhile is found by the look that this asks for.
        if let Ok(true) = watch.renew() {
            tracing::info!("the campaigns folder is watched");
            signals.folder.notify_one();
        }
    }
}

/// SIGTERM and SIGINT stop; SIGHUP reads the settings and the folder again.
async fn obey_signals(
    signals: Arc<Signals>,
    interrupted: impl Future<Output = ()>,
    mut hangup: Signal,
    origin: Origin,
    mut settings: Settings,
) {
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            () = &mut interrupted => {
                tracing::info!("stopping: what is in flight is awaited");
                notify(&[sd_notify::NotifyState::Stopping]);
                signals.stop();
                return;
            }
            Some(()) = hangup.recv() => {
                tracing::info!("SIGHUP: the settings and the folder are read again");
                tell_reloading();
                if let Origin::File(path) = &origin {
                    read_settings_again(path, &mut settings, &signals);
                }
                signals.folder.notify_one();
                notify(&[sd_notify::NotifyState::Ready]);
            }
        }
    }
}

/// Tells the service manager that a reload begins; it wants the instant by its own clock.
fn tell_reloading() {
    if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
        notify(&[sd_notify::NotifyState::Reloading, now]);
    }
}

/// Takes of the settings what can change under way, the guard; every other change needs a restart, and bad
/// settings would fail it.
fn read_settings_again(path: &Path, in_force: &mut Settings, signals: &Signals) {
    let settings = match settings::load(Some(path)) {
        Ok(loaded) => loaded.settings,
        Err(error) => {
            tracing::error!(%error, "the settings in force stay so; `campaignd check` tells more");
            return;
        }
    };
    if settings.guard != in_force.guard {
        let Guard { max_removed_percent, from } = settings.guard;
        tracing::info!("guard: from {from} on, more than {max_removed_percent}% are held");
        in_force.guard = settings.guard;
        signals.guard.send_replace(settings.guard);
    }
    if format!("{settings:?}") != format!("{in_force:?}") {
        tracing::warn!("{} has changed: a restart takes it", path.display());
    } else {
        tracing::info!("the settings are in force");
    }
}

/// Listens for SIGTERM and SIGINT from now on; ends when one of them has come.
pub fn interrupted() -> impl Future<Output = ()> + Send + 'static {
    let listening = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = listening else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Says when the daemon is ready, or that it waits because the ledger is locked.
async fn tell_ready(signals: Arc<Signals>, sandboxes: Vec<String>, settings: Settings) {
    tokio::select! {
        () = signals.readied() => {}
        reason = signals.locked() => {
            // It has started, and stays: the service manager need not try again.
            notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&format!("LOCKED: {reason}"))]);
            signals.readied().await;
        }
    }
    let page = settings.listen.map(|address| format!(", http://{address}")).unwrap_or_default();
    let nowhere = match sandboxes.as_slice() {
        [] => String::new(),
        names => format!("SANDBOX ({} delivers nowhere) ", names.join(", ")),
    };
    eprintln!(
        "campaignd: {nowhere}ready: campaigns {}, ledger {}{page}",
        settings.campaigns.display(),
        settings.database.display()
    );
    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("")]);
}

/// Keeps the service manager's watchdog quiet while the daemon lives.
async fn keep_watchdog_quiet(signals: Arc<Signals>) {
    let Some(timeout) = sd_notify::watchdog_enabled() else { return };
    let mut rounds = signals.rounds.subscribe();
    while rounds.changed().await.is_ok() {
        notify(&[sd_notify::NotifyState::Watchdog]);
        tokio::time::sleep(timeout / 3).await;
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without a service manager nobody listens.
    let _ = sd_notify::notify(states);
}
