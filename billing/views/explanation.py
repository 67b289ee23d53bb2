"""Why the balance is what it is: for oneself, and for support about somebody, with a text to send."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.http import require_safe

from billing.balance_words import copy_of, numbers_of, purse_word, story_rows
from billing.selectors.explanation import explained_person, purse_stories, six_numbers
from billing.views.home import Asked


@login_required
@require_safe
def balance_explained(request: Asked) -> HttpResponse:
    person = explained_person(request.user, request.GET.get("who", "").strip()[:191])
    six = six_numbers(request.user, person)
    is_mine = person.pk == request.user.pk
    copy = ""
    if not is_mine:
        with translation.override(person.language):
            copy = copy_of(six, str(person))
    context = {
        "person": person,
        "is_mine": is_mine,
        "six": six,
        # The rows behind a number are the person's own pages; support has the story below.
        "numbers": numbers_of(six),
        "stories": [
            {"word": purse_word(story), "rows": list(story_rows(story)), "balance": story.balance_nano}
            for story in purse_stories(request.user, person)
        ],
        "copy": copy,
    }
    return render(request, "billing/balance_explained.html", context)
