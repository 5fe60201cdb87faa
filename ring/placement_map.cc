#include "ring/placement_map.h"

#include <algorithm>

namespace atoll::ring {

bool Placement::InIsr(base::Incarnation node) const {
  return std::find(isr.begin(), isr.end(), node) != isr.end();
}

bool Placement::IsLearner(base::Incarnation node) const {
  return std::find(learners.begin(), learners.end(), node) != learners.end();
}

const Member* PlacementMap::FindMember(base::Incarnation incarnation) const {
  for (const Member& member : members) {
    if (member.incarnation == incarnation) return &member;
  }
  return nullptr;
}

const Member* PlacementMap::FindLiveMember(std::string_view name) const {
  for (const Member& member : members) {
    if (member.state != MemberState::kDown && member.name == name) return &member;
  }
  return nullptr;
}

}  // namespace atoll::ring
