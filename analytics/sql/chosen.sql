[[- /* What only the entries can be narrowed by: filters that no rollup has, and what
was known at a moment. */ -]]
[[- define "chosen" -]]
e.known_at <= {as_of:DateTime64(6, 'UTC')}
        AND ({plan:String} = '' OR e.plan = {plan:String})
        AND ({product:String} = '' OR e.product = {product:String})
        AND ({customer:String} = '' OR e.customer = {customer:String})
        AND ({country:String} = '' OR e.country = {country:String})
[[- end]]
