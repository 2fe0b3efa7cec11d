// @ts-check
/** Pausing providers, and resuming them, in the dialog of the runners. */

import { byId, el, fill } from "./dom.js";
import { notify, notifyFailure } from "./notice.js";
import { fillPauses, pauseLine, pauses } from "./pauses.js";

/** Makes the dialog's part work. */
export function setUpProviders() {
  const form = byId("pause-form", HTMLFormElement);
  pauses.addEventListener("change", () => {
    const { all } = pauses;
    byId("no-pauses").hidden = all.length > 0;
    fillPauses(byId("provider-pauses"), all.map(pauseLine));
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const provider = byId("pause-provider", HTMLSelectElement).value;
    const time = byId("pause-time", HTMLSelectElement).value;
    const reason = byId("pause-reason", HTMLInputElement).value.trim();
    const button = byId("pause-submit", HTMLButtonElement);
    button.disabled = true;
    try {
      const seconds = time === "" ? null : Number(time);
      await pauses.pause({ provider, reason, seconds });
      notify(`${provider} is paused`);
      form.reset();
    } catch (error) {
      notifyFailure(error);
    } finally {
      button.disabled = false;
    }
  });
}

/**
 * Offers these to be paused.
 *
 * @param {readonly string[]} names
 */
export function offerProviders(names) {
  const select = byId("pause-provider", HTMLSelectElement);
  const offered = [...select.options].map(({ value }) => value);
  byId("pause-form").hidden = names.length === 0;
  if (names.join("\n") === offered.join("\n")) return;
  const chosen = select.value;
  fill(select, ...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(chosen)) select.value = chosen;
}
