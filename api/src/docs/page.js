// Shows the API's document to who has a key. The key is held in a variable of this page and nowhere else.
"use strict";

const REFUSED = {
  401: "This key does not open anything here.",
  403: "This key is for another pipeline.",
  429: "Too many tries: wait a little.",
};

/** Fetches the document and shows it; yields the status of what was refused. */
async function show(key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetch("openapi.json", { headers, credentials: "omit" });
  if (!answer.ok) return answer.status;
  const spec = await answer.json();
  document.title = spec.info.title;
  const ui = SwaggerUIBundle({
    spec,
    dom_id: "#ui",
    deepLinking: false,
    persistAuthorization: false,
    tryItOutEnabled: true,
    // Its badge would send the document's address to a server elsewhere.
    validatorUrl: null,
    onComplete: () => key && setTimeout(() => ui.preauthorizeApiKey("bearer", key)),
  });
  return 0;
}

const ask = document.getElementById("ask");
const said = document.getElementById("said");

async function tryWith(key) {
  let refused;
  try {
    refused = await show(key);
  } catch {
    said.textContent = "The server does not answer.";
    ask.hidden = false;
    return;
  }
  ask.hidden = refused === 0;
  if (refused !== 0 && key) said.textContent = REFUSED[refused] ?? `The server answered ${refused}.`;
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  tryWith(document.getElementById("key").value.trim());
});

// A server that answers everybody asks nobody.
tryWith("");
