// Shows the document of the process that served this page. Nothing is asked of any other
// host: without validatorUrl: null the document would be sent to one.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#document",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  tagsSorter: "alpha",
  validatorUrl: null,
});
