"use strict";
// The fragment comes from this server with every name escaped; the page's policy runs no script but this one.
const state = document.getElementById("state");
const age = document.getElementById("age");
const refresh = async () => {
  try {
    const answer = await fetch("/state", { cache: "no-store" });
    if (answer.ok) state.innerHTML = await answer.text();
    age.textContent = "Refreshed every two seconds, from 127.0.0.1 alone.";
  } catch {
    age.textContent = "The view has ended: start provender watch again.";
  }
};
setInterval(refresh, 2000);
