from tests.browser import rollout
from tests.browser import test_pictures as tp
from tests.browser.test_pictures import chromium, places, test_every_page_is_whole  # noqa
<<<<<<< HEAD
<<<<<<< HEAD
=======
>>>>>>> e6987ed (Confirmations in batches; the mapped name of a trial's model)

tp.PAGES = [
    p
    for p in rollout.PAGES
    if p[0]
    in ("trials", "trial", "trial-production", "calls-repeated", "call-repeats", "find-repeated", "access-refused", "proofs")
]
<<<<<<< HEAD
=======
tp.PAGES = [p for p in rollout.PAGES if p[0] in ("trials","trial","trial-production","calls-repeated","call-repeats","find-repeated","access-refused","proofs")]
>>>>>>> 7aaeb12 (Decisions on confirmations and repeats)
=======
>>>>>>> e6987ed (Confirmations in batches; the mapped name of a trial's model)
pytestmark = tp.pytestmark
