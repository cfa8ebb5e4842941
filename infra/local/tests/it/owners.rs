//! Checks of one owner do not wait for those of others.

use crate::house::House;

#[tokio::test]
async fn first_checks_wait_for_none_of_other_owners() {
    let house = House::new().await;
    // More than there are places, of a few owners.
    for owner in 101..=104 {
        house.ask_for(owner, 300, "endpoint-create").await;
    }
    house.add_unasked().await;
    house.until((1, 0)).await;
    assert_eq!(house.hits(), 1);
}
