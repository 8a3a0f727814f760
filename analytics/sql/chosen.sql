[[- /* What only the entries can be narrowed by: filters that no rollup has, and what
was known at a moment. */ -]]
[[- define "chosen" -]]
e.known_at <= {as_of:DateTime64(6, 'UTC')}
        AND e.plan = {plan:String} -- if plan
        AND e.product = {product:String} -- if product
        AND e.customer = {customer:String} -- if customer
        AND e.country = {country:String} -- if country
        AND e.message = {message:String} -- if message
        AND e.offer = {offer:String} -- if offer
        AND e.campaign = {campaign:String} -- if campaign
        AND e.source = {source:String} -- if source
        AND e.visitor = {visitor:String} -- if visitor
        AND e.attribution_type = {attribution_type:String} -- if attribution_type
        AND if(JSONType(e.metadata, {metadata_key:String}) = 'String', -- if metadata_key
            JSONExtractString(e.metadata, {metadata_key:String}), JSONExtractRaw(e.metadata, {metadata_key:String})) = {metadata_value:String} -- if metadata_key
[[- end]]
