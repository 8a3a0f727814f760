[[- /* What only the entries can be narrowed by: filters that no rollup has, and what
was known at a moment. */ -]]
[[- define "chosen" -]]
known_at <= {as_of:DateTime64(6, 'UTC')}
        AND ({plan:String} = '' OR plan = {plan:String})
        AND ({product:String} = '' OR product = {product:String})
        AND ({customer:String} = '' OR customer = {customer:String})
        AND ({country:String} = '' OR country = {country:String})
[[- end]]
