//! The simulation itself: a seed is one run, and what is left out is left out.

use chaos::{Case, play};

#[test]
fn what_is_left_out_does_not_happen() {
    let whole = play(&Case::of_seed(3), false).unwrap();
    let mut case = Case::of_seed(3);
    case.without_operations.extend(whole.operations.iter().map(|(number, _)| *number).skip(4));
    case.without_faults.extend(whole.faults.iter().map(|(place, _)| *place).take(1));
    let part = play(&case, false).unwrap();
    assert_eq!(part.operations, whole.operations[..4]);
    assert!(part.faults.iter().all(|(place, _)| !case.without_faults.contains(place)));
    assert_ne!(part.hash, whole.hash);
}

#[test]
fn a_seed_is_played_twice_alike() {
    for seed in [3, 4, 6] {
        let [first, second] = [(); 2].map(|()| play(&Case::of_seed(seed), true).unwrap());
        let apart = first.trace.iter().zip(&second.trace).find(|(first, second)| first != second);
        assert_eq!(apart, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
    }
}
