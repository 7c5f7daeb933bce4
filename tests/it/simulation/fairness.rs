//! Runs beside each other: none waits for another longer than a batch takes, no gateway for another.

use super::{
    histories::{MESSAGE, Running, ids, play, seconds},
    *,
};

/// How long after its slot a campaign's run was over, in milliseconds.
fn over_after_ms(simulation: &Simulation, campaign: &str) -> i64 {
    let sql = format!(
        "SELECT CAST(CAST(round((julianday(finished_at) - julianday(occurrence)) * 86400000) AS INTEGER) AS TEXT)
         FROM run_summary WHERE campaign = '{campaign}' AND state = 'completed'"
    );
    let told = simulation.ask(&sql);
    told.first().unwrap_or_else(|| panic!("{campaign} is not over")).parse().unwrap()
}

#[test]
fn a_large_run_delays_a_small_one_by_no_more_than_a_batch() {
    play(async |simulation| {
        // A call of fifty takes a second.
        simulation.world.set_faults(Faults { latency_ms: 20.0, ..Faults::default() });
        simulation.write(
            "large.yaml",
            &format!("{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\n", ids(700)),
        );
        simulation.write(
            "small.yaml",
            &format!("{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01:02}}]\n", ids(10)),
        );
        let daemon = simulation.daemon();
        seconds(90).await;
        assert!(over_after_ms(simulation, "large") > 5_000, "the large run was no burden");
        // One batch of the other, and its own.
        let small_ms = over_after_ms(simulation, "small");
        assert!(small_ms <= 1_000 + 200 + 50, "the small run took {small_ms} ms");
        daemon.stop().await;
    });
}

#[test]
fn a_gateway_that_hangs_slows_no_other() {
    play(async |simulation| {
        let options = Options { seed: 2, users: 50, groups: 3, ..Options::default() };
        let hanging = Arc::new(World::new(&options, simulation.clock.clone()));
        // Nothing of it is ever answered in time, its list of users neither.
        hanging.set_faults(Faults { latency_ms: 600_000.0, ..Faults::default() });
        let mut parts = simulation.parts(&Arc::default());
        let mut post = parts.gateways.0["sandbox"].clone();
        post.gateway = Arc::new(sandbox::gateway(hanging, sandbox::account(), simulation.clock.clone()));
        parts.gateways.0.insert("hanging".to_owned(), post);
        for number in 0..20 {
            simulation.write(
                &format!("hanging{number}.yaml"),
                &format!(
                    "{MESSAGE}\ngateway: hanging\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\n",
                    ids(40)
                ),
            );
        }
        simulation.write(
            "good.yaml",
            &format!("{MESSAGE}\nisSendAll: true\nschedules: [{{at: 2026-11-11T00:01:05}}]\n"),
        );
        let daemon = Running::start(parts);
        seconds(120).await;
        // 699 at 120 a second, as without the others, and a window more where the small chunk was not the last.
        let good_ms = over_after_ms(simulation, "good");
        assert!(good_ms <= 8_000, "it took {good_ms} ms");
        assert_eq!(
            simulation.ask("SELECT DISTINCT state FROM run_summary WHERE gateway = 'hanging'"),
            ["running"]
        );
        daemon.stop().await;
    });
}
