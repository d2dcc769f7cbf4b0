//! Some groups, as `simulate` runs thousands.

use joold_group::report::Failure;

use joold_group::run;

#[test]
fn whatever_happens_all_routers_have_the_same_sessions_in_the_end() {
    for seed in 0..40 {
        let report = run(seed, false);
        let counts = |failure: &&Failure| !failure.check.is_open();
        let failures = report.failures.iter().filter(counts);
        let failures: Vec<_> = failures.map(ToString::to_string).collect();
        assert!(
            failures.is_empty(),
            "cargo run --release -p joold-group --bin simulate -- --seed {seed} --trace: {failures:#?}"
        );
    }
}
