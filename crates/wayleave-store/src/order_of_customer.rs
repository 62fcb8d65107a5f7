use wayleave_core::{CustomerId, PartnerId};

use crate::{Order, Reader, StoreError};

impl Reader {
    /// Orders of a partner that are for one customer and nobody else, the newest first: so many after
    /// having passed over so many.
    pub async fn orders_for(
        &mut self,
        (partner_id, customer_id): (PartnerId, CustomerId),
        start: i64,
        length: i64,
    ) -> Result<Vec<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT number FROM sales_order o WHERE partner_id = $1 AND NOT EXISTS
                 (SELECT 1 FROM order_line
                  WHERE order_id = o.id AND COALESCE(customer_id, '') <> $2)
             ORDER BY id DESC LIMIT $3 OFFSET $4",
            partner_id.to_string(),
            customer_id.to_string(),
            length,
            start
        )?;
        let mut orders = Vec::new();
        for (number,) in rows {
            orders.extend(self.order_of_number(partner_id, number).await?);
        }
        Ok(orders)
    }

    /// How many orders of a partner are for one customer and nobody else.
    pub async fn count_orders_for(
        &mut self,
        partner_id: PartnerId,
        customer_id: CustomerId,
    ) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT COUNT(*) FROM sales_order o WHERE partner_id = $1 AND NOT EXISTS
                 (SELECT 1 FROM order_line
                  WHERE order_id = o.id AND COALESCE(customer_id, '') <> $2)",
            partner_id.to_string(),
            customer_id.to_string()
        )?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }
}
