/** How did we do? One to five, and a word if one likes. */

import { element } from "../desk/dom.js";

const MEANING = ["", "Bad", "Poor", "All right", "Good", "Excellent"];
const MAX_COMMENT = 2_000;

/**
 * @param {{score: number, comment: string} | null} rating What was said before.
 * @param {(score: number, comment: string) => Promise<void>} rate
 */
export function ratingForm(rating, rate) {
  const hint = element("p", { class: "portal-error", role: "alert", hidden: true });
  const comment = element("textarea", { id: "rating-comment", name: "comment", rows: 2, maxlength: MAX_COMMENT });
  comment.value = rating?.comment ?? "";
  const submit = element("button", {
    type: "submit",
    class: "desk-button",
    text: rating ? "Change my rating" : "Send my rating",
  });
  const form = element(
    "form",
    { class: "desk-card portal-rating" },
    element(
      "fieldset",
      {},
      element("legend", { text: rating ? "Your rating" : "How did we do?" }),
      element("div", { class: "portal-stars" }, [1, 2, 3, 4, 5].map((score) => star(score, rating?.score))),
    ),
    element("label", { for: "rating-comment", text: "Anything you would like to tell us?" }),
    comment,
    hint,
    element("p", { class: "desk-buttons" }, submit),
  );
  form.noValidate = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const score = Number(new FormData(form).get("score"));
    hint.hidden = score > 0;
    if (!score) return (hint.textContent = "Choose one to five first.");
    submit.disabled = true;
    try {
      await rate(score, comment.value);
    } catch (problem) {
      hint.textContent = problem.detail ?? problem.message;
      hint.hidden = false;
    } finally {
      submit.disabled = false;
    }
  });
  return form;
}

function star(score, chosen) {
  return element(
    "label",
    { class: "portal-star" },
    element("input", { type: "radio", name: "score", value: score, checked: score === chosen }),
    element("span", { class: "portal-star-number", text: score }),
    element("span", { class: "portal-star-word", text: MEANING[score] }),
  );
}
