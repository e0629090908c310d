"""What holds for all tests."""

from hypothesis import settings

# a deadline for one example says more about who else uses the machine than about the code
settings.register_profile("mailweir", deadline=None)
settings.load_profile("mailweir")
