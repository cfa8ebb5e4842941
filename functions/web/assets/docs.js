// Starts Swagger UI on the page of the API's docs.
"use strict";

const api = document.getElementById("api");
SwaggerUIBundle({
  url: api.dataset.specification,
  domNode: api,
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
});
