//! Checks the simulation itself: a seed always gives the same run, and a case lacks the parts that it leaves out.

use chaos::{Case, play};

#[test]
fn leaves_out_the_operations_and_faults_of_a_case() {
    let whole = play(&Case::of_seed(3), false).unwrap();
    let mut case = Case::of_seed(3);
    case.without_operations.extend(whole.operations.iter().map(|(number, _)| *number).skip(4));
    case.without_faults.extend(whole.faults.iter().map(|(point, _)| *point).take(1));
    let part = play(&case, false).unwrap();
    assert_eq!(part.operations, whole.operations[..4]);
    assert!(part.faults.iter().all(|(point, _)| !case.without_faults.contains(point)));
    assert_ne!(part.hash, whole.hash);
}

#[test]
fn plays_a_seed_twice_in_the_same_way() {
    for seed in [3, 4, 6] {
        let [first, second] = [(); 2].map(|()| play(&Case::of_seed(seed), true).unwrap());
        let difference = first.trace.iter().zip(&second.trace).find(|(first, second)| first != second);
        assert_eq!(difference, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
    }
}
