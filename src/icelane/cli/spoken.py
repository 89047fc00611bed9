"""Words that are said aloud: two lists of 256, so that each word is eight bits. All are short, and none is in both."""

from __future__ import annotations

from typing import Final

from icelane.core.entropy import Entropy

QUALITIES: Final = tuple(
    """
able agile airy amber ample ancient arctic azure balmy basic beige best big bitter black bland blue blunt bold brave
brief bright brisk broad bronze brown busy calm candid careful cheap cheery chief chilly civil classic clean clear
clever close cloudy coastal cold comic common cool copper coral cosmic cosy crimson crisp crystal curious curly cute
daily damp dapper daring dark dear deep dense devout dim direct distant double dreamy dry dusty eager early earthy
eastern easy elated elder electric elegant emerald empty epic equal ethical even exact exotic expert extra fabled fair
faithful famous fancy far fast festive fierce final fine firm first fit flat floral fluent fluffy fond formal fossil
fragrant free fresh friendly frosty frozen full funny future gentle genuine giant gifted glad glassy global glossy
golden good graceful grand grateful gray great green happy hardy hazel hearty heavy helpful high hollow honest humble
icy ideal indigo inland inner ivory jade jolly joyful keen kind large late lavish lazy level light lilac little lively
local lofty lone long loud loyal lucky lunar magic maple marble mellow merry mighty mild mint misty modern modest
mossy muddy narrow native neat new nimble noble northern novel olive open orange orderly outer paper patient peach
pearl plain playful polite proud prime pure purple quick quiet rapid rare ready regal rich ripe robust rosy round
royal ruby rustic sandy scarlet secret serene sharp shiny short shy silent silky silver simple sleepy slim slow small
smart smooth snowy soft solar solid speedy spicy steady still strong sunny tall teal
""".split()  # noqa: SIM905  (a page of quotation marks)
)
ANIMALS: Final = tuple(
    """
albatross alpaca ant anteater antelope ape armadillo baboon badger barracuda bat bear beaver bee beetle bison boar
bobcat bream buffalo bullfrog bumblebee bunny buzzard camel canary capybara caribou carp cat caterpillar catfish
centipede chameleon cheetah chicken chinchilla chipmunk cicada civet clam cobra cockatoo condor cormorant
cougar cow coyote crab crane cricket crocodile crow cuckoo curlew deer dingo dodo dog dolphin donkey dormouse dove
dragonfly drake duck dunlin eagle earwig eel egret eland elephant elk emu falcon ferret finch firefly flamingo
flea flounder fly fox frog gannet gazelle gecko gerbil gibbon giraffe gnat gnu goat goldfinch goose gopher gorilla
grouse guppy gull haddock hamster hare harrier hawk hedgehog heron herring hippo hornet horse hound hyena ibex ibis
iguana impala jackal jaguar jay kangaroo kestrel kingfisher kiwi koala kudu ladybird lapwing lark lemming lemur leopard
limpet lion lizard llama lobster locust loon lynx macaw mackerel magpie mallard mammoth manatee mantis marlin marmot
marten meerkat merlin mink minnow mole mongoose monkey moose mosquito moth mouse mule muskrat mussel narwhal newt
nightjar ocelot octopus okapi opossum orca oriole osprey ostrich otter owl ox oyster panda panther parrot partridge
peacock pelican penguin perch pheasant pig pigeon pika pike piranha platypus plover polecat pony porcupine porpoise
possum prawn puffin puma quail quokka rabbit raccoon raven reindeer rhino robin rook rooster salmon sardine scallop
scorpion seahorse seal shark sheep shrew shrimp skunk skylark sloth snail snake snipe sparrow spider squid squirrel
starling stingray stoat stork swallow swan swift tapir tarantula tern thrush tiger toad tortoise toucan trout tuna
turkey turtle viper vole vulture
""".split()  # noqa: SIM905  (a page of quotation marks)
)


def spoken_words(entropy: Entropy) -> str:
    """Such as `blue-otter`: 16 bits."""
    quality, animal = entropy.token(2)
    return f"{QUALITIES[quality]}-{ANIMALS[animal]}"
