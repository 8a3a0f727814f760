package simulation

// chargeObject is the charge of the payment as it is now.
func (p *payment) chargeObject() members {
	o := members{
		"id": p.charge, "object": "charge", "amount": p.amount + p.released, "amount_captured": p.amount,
		"amount_refunded": p.refunded + p.released, "captured": true, "paid": true, "status": "succeeded",
		"refunded": p.refunded == p.amount, "currency": p.lower(), "created": p.at.Unix(), "customer": p.customer,
		"payment_intent": nil, "balance_transaction": "txn_" + p.charge, "billing_details": members{"name": "Customer " + p.customer,
			"address": members{"country": "DE"}}, "payment_method_details": members{"type": "card"}, "metadata": members{},
	}
	if p.intent != "" {
		o["payment_intent"] = p.intent
	}
	if p.version != versionBasil {
		o["invoice"] = nil
		if p.invoice != "" {
			o["invoice"] = p.invoice
		}
	}
	if p.version == versionCharges {
		o["refunds"] = members{"object": "list", "data": []members{}, "has_more": false}
	}
	return o
}

// intentObject is the payment intent of the payment.
func (p *payment) intentObject() members {
	o := members{
		"id": p.intent, "object": "payment_intent", "amount": p.amount, "amount_received": p.amount, "amount_capturable": 0,
		"currency": p.lower(), "created": p.at.Unix() - 30, "customer": p.customer, "status": "succeeded",
		"payment_method_types": []string{"card"}, "metadata": members{},
	}
	if p.version != versionBasil {
		o["invoice"] = nil
		if p.invoice != "" {
			o["invoice"] = p.invoice
		}
	}
	if p.version == versionCharges {
		o["charges"] = members{"object": "list", "data": []members{p.chargeObject()}, "has_more": false}
	} else {
		o["latest_charge"] = p.charge
	}
	return o
}

// invoiceObject is the paid invoice of the payment.
func (p *payment) invoiceObject() members {
	o := members{
		"id": p.invoice, "object": "invoice", "amount_due": p.amount, "amount_paid": p.amount, "amount_remaining": 0,
		"billing_reason": p.reason, "currency": p.lower(), "created": p.at.Unix() - 3600, "customer": p.customer,
		"customer_name": "Customer " + p.customer, "customer_address": members{"country": "DE"}, "status": "paid",
		"subtotal": p.amount - p.tax, "total": p.amount, "total_discount_amounts": []any{}, "discounts": []any{}, "metadata": members{},
		"status_transitions": members{"paid_at": p.at.Unix(), "finalized_at": p.at.Unix() - 60},
		"lines":              members{"object": "list", "data": []members{p.lineObject()}, "has_more": false},
	}
	if p.version == versionBasil {
		o["total_taxes"], o["parent"] = []members{{"amount": p.tax, "tax_behavior": "exclusive", "type": "tax_rate_details"}}, nil
		if p.subscription != nil {
			o["parent"] = members{"type": "subscription_details", "quote_details": nil,
				"subscription_details": members{"subscription": p.subscription.id, "metadata": members{}}}
		}
		return o
	}
	o["paid"], o["paid_out_of_band"], o["tax"] = true, false, p.tax
	o["total_tax_amounts"] = []members{{"amount": p.tax, "inclusive": false}}
	o["subscription"], o["charge"], o["payment_intent"] = nil, nil, nil
	if p.subscription != nil {
		o["subscription"] = p.subscription.id
	}
	if p.outside {
		o["paid_out_of_band"], o["amount_paid"], o["amount_remaining"] = true, 0, p.amount
	} else if p.amount > 0 {
		o["charge"], o["payment_intent"] = p.charge, p.intent
	}
	return o
}

func (p *payment) lineObject() members {
	line := members{"id": "il_" + p.invoice, "object": "line_item", "amount": p.amount - p.tax, "currency": p.lower(), "quantity": 1}
	s := p.subscription
	if s == nil {
		return line
	}
	line["quantity"] = s.quantity
	if p.version == versionBasil {
		line["parent"] = members{"type": "subscription_item_details",
			"subscription_item_details": members{"subscription": s.id, "subscription_item": "si_" + s.id, "proration": p.reason == "subscription_update"}}
		line["pricing"] = members{"type": "price_details", "price_details": members{"price": s.plan.name, "product": "prod_" + s.plan.interval},
			"unit_amount_decimal": decimal(s.plan.net * 100)}
		return line
	}
	line["type"], line["subscription"], line["proration"] = "subscription", s.id, p.reason == "subscription_update"
	line["price"], line["plan"] = s.priceObject(), s.planObject()
	return line
}

// object is the subscription as it is now.
func (s *stripeSubscription) object() members {
	item := members{"id": "si_" + s.id, "object": "subscription_item", "quantity": s.quantity, "price": s.priceObject(), "plan": s.planObject()}
	o := members{
		"id": s.id, "object": "subscription", "customer": s.customer, "status": s.status, "currency": s.lower(),
		"created": s.created.Unix(), "start_date": s.created.Unix(), "billing_cycle_anchor": s.created.Unix(),
		"cancel_at_period_end": !s.cancelAt.IsZero(), "cancel_at": unixOrNil(s.cancelAt), "canceled_at": unixOrNil(s.canceledAt),
		"ended_at": unixOrNil(s.endedAt), "trial_end": unixOrNil(s.trialEnd), "metadata": members{}, "pause_collection": nil,
		"cancellation_details": members{"reason": nil, "comment": nil}, "latest_invoice": s.latestInvoice, "discounts": []any{},
	}
	if s.reason != "" {
		o["cancellation_details"] = members{"reason": s.reason, "comment": nil}
	}
	if s.version == versionBasil {
		item["current_period_start"], item["current_period_end"] = s.periodStart.Unix(), s.periodEnd.Unix()
	} else {
		o["current_period_start"], o["current_period_end"] = s.periodStart.Unix(), s.periodEnd.Unix()
		if s.percentOff > 0 {
			o["discount"] = members{"id": "di_" + s.id, "object": "discount",
				"coupon": members{"id": "forever", "duration": "forever", "percent_off": s.percentOff, "valid": true}}
		}
	}
	o["items"] = members{"object": "list", "data": []members{item}, "has_more": false, "total_count": 1}
	return o
}

func (s *stripeSubscription) priceObject() members {
	return members{
		"id": s.plan.name, "object": "price", "active": true, "billing_scheme": "per_unit", "currency": s.lower(),
		"product": "prod_" + s.plan.interval, "type": "recurring", "unit_amount": s.plan.net, "unit_amount_decimal": decimalUnits(s.plan.net),
		"recurring": members{"interval": s.plan.interval, "interval_count": s.plan.count, "usage_type": "licensed"},
	}
}

func (s *stripeSubscription) planObject() members {
	return members{
		"id": s.plan.name, "object": "plan", "active": true, "amount": s.plan.net, "currency": s.lower(), "product": "prod_" + s.plan.interval,
		"interval": s.plan.interval, "interval_count": s.plan.count, "usage_type": "licensed", "billing_scheme": "per_unit",
	}
}
