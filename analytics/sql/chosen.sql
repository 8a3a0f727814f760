[[- /* What only the entries can be narrowed by: filters that no rollup has, and what
was known at a moment. */ -]]
[[- define "chosen" -]]
e.known_at <= {as_of:DateTime64(6, 'UTC')}
        AND ({plan:String} = '' OR e.plan = {plan:String})
        AND ({product:String} = '' OR e.product = {product:String})
        AND ({customer:String} = '' OR e.customer = {customer:String})
        AND ({country:String} = '' OR e.country = {country:String})
        AND ({message:String} = '' OR e.message = {message:String})
        AND ({offer:String} = '' OR e.offer = {offer:String})
        AND ({campaign:String} = '' OR e.campaign = {campaign:String})
        AND ({source:String} = '' OR e.source = {source:String})
        AND ({visitor:String} = '' OR e.visitor = {visitor:String})
        AND ({attribution_type:String} = '' OR e.attribution_type = {attribution_type:String})
        AND ({metadata_key:String} = '' OR if(JSONType(e.metadata, {metadata_key:String}) = 'String',
            JSONExtractString(e.metadata, {metadata_key:String}), JSONExtractRaw(e.metadata, {metadata_key:String})) = {metadata_value:String})
[[- end]]
