//! The simulation itself: what is left out is left out.

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
